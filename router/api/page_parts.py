"""The parts of the operations page: each answers one question of whoever runs the router."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from router.api.operations import BreakerState, ModelState, PlacesState, ProviderState, Readiness
from router.api.page_html import Html, el, joined
from router.contract.record import LimitRefused
from router.settings.accounts import LimitTables, Rates, Tries
from router.settings.structs import Model, Settings
from router.telemetry.recent import Minute, RecentSpeech

_NONE = "–"
_MARKS = {
    **dict.fromkeys(("ready", "on", "spoken", "accepted"), "good"),
    **dict.fromkeys(("not ready", "half open", "refused", "abandoned"), "warn"),
    **dict.fromkeys(("nobody", "open", "failed", "broken"), "bad"),
}
_WHOSE = {
    "key": "Each key",
    "address": "Each address",
    "model": "Each model",
    "total": "All together",
    "looking": "Each address, without a key",
    "failing": "Each address, with wrong keys",
}


def status(found: Readiness, minute: Minute, median_s: float | None) -> Html:
    """Is speech arriving, and how fast?"""
    places, outcomes = found.places, minute.outcomes
    figures = (
        ("Places in use", _of(places)),
        ("Requests, last minute", joined(str(minute.requests))),
        ("Spoken", joined(str(outcomes.get("spoken", 0)))),
        ("Refused", joined(str(outcomes.get("refused", 0)))),
        ("Failed or broken", joined(str(outcomes.get("failed", 0) + outcomes.get("broken", 0)))),
        ("Characters", joined(f"{minute.characters:,}")),
        ("First audio, median", joined(_seconds(median_s))),
    )
    troubles = [*found.reasons, *_of_config(found)]
    told = el("ul", *(el("li", reason) for reason in troubles), class_="reasons")
    return joined(
        el("h2", "Now"),
        el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in figures),
           class_="figures"),
        told if troubles else None,
    )  # fmt: skip


def models(found: Readiness, settings: Settings) -> Html:
    """Who speaks for a model, and who would if they could?"""
    rows = [
        [
            name,
            _mark("ready" if state.ready else "nobody"),
            _order(settings.models[name], state, found),
        ]
        for name, state in found.models.items()
    ]
    heads = ("Model", "State", "Asked in order")
    return _table("Models", heads, rows, "No model is configured.")


def providers(found: Readiness, settings: Settings) -> Html:
    """Who is on, and why are others off?"""
    rows = [
        [name, *_provider(state, settings.providers[name].entry.limits)]
        for name, state in found.providers.items()
    ]
    heads = ("Provider", "Kind", "State", "Slots in use", "Breakers", "Our limits")
    return _table("Providers", heads, rows, "No provider is configured.")


def limits(tables: LimitTables, refused: Mapping[LimitRefused, int]) -> Html:
    """Who refuses?"""
    given: Mapping[str, Rates | Tries | None] = {
        field: getattr(tables, field) for field in tables.__struct_fields__
    }
    rows = [[_WHOSE[name], joined(_rates(given[name]) or "no limit")] for name in given]
    told = [
        el("li", f"{count:,} × {one.scope}, {one.measure}, {one.use}")
        for one, count in sorted(refused.items(), key=lambda pair: -pair[1])
    ]
    return joined(
        _table("Limits", ("Whose", "At most"), rows, ""),
        el("p", "Refused since the start:" if told else "Nobody was refused since the start.",
           class_="none"),
        el("ul", *told) if told else None,
    )  # fmt: skip


def routes(recent: Sequence[RecentSpeech]) -> Html:
    """What became of the last requests?"""
    heads = ("Ended", "Outcome", "Model", "Spoken by", "Voice", "Passed over", "First audio",
             "Total", "Shape")  # fmt: skip
    rows = [[joined(_time(one)), *_route(one)] for one in recent]
    return _table("Recent requests", heads, rows, "Nobody has asked for speech yet.")


def _order(model: Model, state: ModelState, found: Readiness) -> Html:
    """Everybody of the route; who would not be asked now stands there with the reason."""
    told: list[Html | str] = []
    for route in model.routes:
        name = route.provider
        told.append(", then " if told else "")
        told.append(name)
        if name not in state.speaks:
            is_on = found.providers[name].state == "on"
            why = "left alone" if is_on else found.providers[name].state
            told.append(el("span", f" ({why})", class_="aside"))
    return joined(*told)


def _provider(state: ProviderState, own: Rates) -> list[Html]:
    why = state.reason
    if why is None and state.inside is not None:
        why = state.inside.line
    return [
        joined(state.kind),
        joined(_mark(state.state), el("span", why, class_="why") if why else None),
        _of(state.slots) if state.slots is not None else joined(_NONE),
        joined(*_between(_breaker(*one) for one in state.breakers.items())) or joined(_NONE),
        joined(_rates(own) or _NONE),
    ]


def _breaker(model: str, breaker: BreakerState) -> Html:
    state = breaker.state.replace("_", " ")
    shown = breaker.reason if state != "closed" else None
    if state == "open" and breaker.wait_s:
        shown = f"{breaker.reason}, for {_seconds(breaker.wait_s)} more"
    return joined(f"{model} ", _mark(state), el("span", shown, class_="why") if shown else None)


def _route(one: RecentSpeech) -> list[Html]:
    outcome = _mark(one.outcome)
    why = f"{one.reason} ({one.status})" if one.reason else None
    by = f"{one.provider} (kept)" if one.cached else one.provider
    return [
        joined(outcome, el("span", why, class_="why") if why else None),
        *(joined(word or _NONE) for word in (one.model, by, one.voice)),
        joined(one.fallback if one.fallback not in ("none", "") else _NONE),
        _number(_seconds(one.first_audio_s)),
        _number(_seconds(one.total_s)),
        joined(one.shape),
    ]


def _time(one: RecentSpeech) -> Html:
    told = one.ended.strftime("%H:%M:%S")
    return el("time", told, datetime=one.ended.isoformat(timespec="seconds"), class_="number")


def _table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[Html | str]], empty: str
) -> Html:
    """A table that says of itself what it is, for it is laid out as a list on a phone."""
    heading = el("h2", title)
    if not rows:
        return joined(heading, el("p", empty, class_="none"))
    head = el(
        "tr", *(el("th", name, scope="col", role="columnheader") for name in heads), role="row"
    )
    body = (_row(heads, row) for row in rows)
    table = el(
        "table",
        el("thead", head, role="rowgroup"),
        el("tbody", *body, role="rowgroup"),
        role="table",
        aria_label=title,
    )
    return joined(heading, table)


def _row(heads: Sequence[str], row: Sequence[Html | str]) -> Html:
    first = el("th", row[0], scope="row", role="rowheader")
    rest = (
        el("td", el("span", cell), role="cell", data_label=name, class_=_empty(cell))
        for name, cell in zip(heads[1:], row[1:], strict=True)
    )
    return el("tr", first, *rest, role="row")


def _empty(cell: str) -> str | None:
    return "empty" if cell == _NONE else None


def _mark(state: str) -> Html:
    return el("span", state, class_=f"mark {_MARKS.get(state, '')}".strip())


def _of(places: PlacesState) -> Html:
    told = f"{places.in_use} of {places.size}"
    waiting = f", {places.waiting} waiting" if places.waiting else ""
    meter = el("meter", told, max=places.size, value=places.in_use, aria_label=f"{told} in use")
    return el("span", f"{told}{waiting} ", meter, class_="number")


def _number(told: str) -> Html:
    return joined(told) if told == _NONE else el("span", told, class_="number")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return _NONE
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:,.0f} s"


def _rates(rates: Rates | Tries | None) -> str:
    """A table of limits in words; empty where it sets none."""
    if rates is None:
        return ""
    given = msgspec.structs.asdict(rates)
    told = [f"{value:,} {key.replace('_per_', ' a ').replace('_', ' ')}"
            for key, value in given.items() if value is not None]  # fmt: skip
    return ", ".join(told).replace("concurrent", "at once").replace("requests burst", "in a burst")


def _of_config(found: Readiness) -> list[str]:
    config = found.config
    told = [f"a restart is needed for {', '.join(config.restart)}"] if config.restart else []
    return [*told, f"a newer config was not taken: {config.refused}"] if config.refused else told


def _between(parts: Iterable[Html]) -> list[Html]:
    """The parts, each on a line of its own."""
    return [el("div", part) for part in parts]
