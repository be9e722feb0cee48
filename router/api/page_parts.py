"""The parts of the operations page: each answers one question of whoever runs the router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from router.api.operations import BreakerState, ModelState, ProviderState, Readiness
from router.api.page_html import Html, el, joined
from router.api.page_widgets import NONE, figures, in_use, lines, mark, number, seconds, table
from router.contract.record import LimitRefused
from router.settings.accounts import LimitTables, Rates, Tries
from router.settings.structs import Model, Settings
from router.telemetry.recent import Minute, RecentSpeech
from router.telemetry.sampled import JobFigures

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
    seen = (
        ("Places in use", in_use(places)),
        ("Requests, last minute", joined(str(minute.requests))),
        ("Spoken", joined(str(outcomes.get("spoken", 0)))),
        ("Refused", joined(str(outcomes.get("refused", 0)))),
        ("Failed or broken", joined(str(outcomes.get("failed", 0) + outcomes.get("broken", 0)))),
        ("Characters", joined(f"{minute.characters:,}")),
        ("First audio, median", joined(seconds(median_s))),
    )
    troubles = [el("li", reason) for reason in (*found.reasons, *_of_config(found))]
    told = el("ul", *troubles, class_="reasons") if troubles else None
    return joined(el("h2", "Now"), figures(seen), told)


def models(found: Readiness, settings: Settings) -> Html:
    """Who speaks for a model, and who would if they could?"""
    rows = [
        [
            name,
            mark("ready" if state.ready else "nobody"),
            _order(settings.models[name], state, found),
        ]
        for name, state in found.models.items()
    ]
    heads = ("Model", "State", "Asked in order")
    return table("Models", heads, rows, "No model is configured.")


def providers(found: Readiness, settings: Settings) -> Html:
    """Who is on, and why are others off?"""
    rows = [
        [name, *_provider(state, settings.providers[name].entry.limits)]
        for name, state in found.providers.items()
    ]
    heads = ("Provider", "Kind", "State", "Slots in use", "Breakers", "Our limits")
    return table("Providers", heads, rows, "No provider is configured.")


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
    said = "Refused since the start:" if told else "Nobody was refused since the start."
    return joined(
        table("Limits", ("Whose", "At most"), rows, ""),
        el("p", said, class_="none"),
        el("ul", *told) if told else None,
    )


def jobs(found: JobFigures | None) -> Html:
    """Does anything wait too long?"""
    if found is None:
        told = el("p", "The store does not answer.", class_="none")
        return joined(el("h2", "Jobs"), told)
    seen = [(state.capitalize(), joined(f"{count:,}")) for state, count in found.states.items()]
    seen.append(("Oldest waits", joined(seconds(found.oldest_queued_s or None))))
    seen.append(("On disk", joined(f"{found.disk_bytes / 2**20:,.1f} MiB")))
    return joined(el("h2", "Jobs"), figures(seen))


def routes(recent: Sequence[RecentSpeech]) -> Html:
    """What became of the last requests?"""
    heads = (
        *("Ended", "Outcome", "Model", "Spoken by", "Voice"),
        *("Passed over", "First audio", "Total", "Shape"),
    )
    rows = [[joined(_time(one)), *_route(one)] for one in recent]
    return table("Recent requests", heads, rows, "Nobody has asked for speech yet.")


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
        joined(mark(state.state), el("span", why, class_="why") if why else None),
        in_use(state.slots) if state.slots is not None else joined(NONE),
        joined(*lines(_breaker(*one) for one in state.breakers.items())) or joined(NONE),
        joined(_rates(own) or NONE),
    ]


def _breaker(model: str, breaker: BreakerState) -> Html:
    state = breaker.state.replace("_", " ")
    shown = breaker.reason if state != "closed" else None
    if state == "open" and breaker.wait_s:
        shown = f"{breaker.reason}, for {seconds(breaker.wait_s)} more"
    return joined(f"{model} ", mark(state), el("span", shown, class_="why") if shown else None)


def _route(one: RecentSpeech) -> list[Html]:
    outcome = mark(one.outcome)
    why = f"{one.reason} ({one.status})" if one.reason else None
    by = f"{one.provider} (kept)" if one.cached else one.provider
    return [
        joined(outcome, el("span", why, class_="why") if why else None),
        *(joined(word or NONE) for word in (one.model, by, one.voice)),
        joined(one.fallback if one.fallback not in ("none", "") else NONE),
        number(seconds(one.first_audio_s)),
        number(seconds(one.total_s)),
        joined(one.shape),
    ]


def _time(one: RecentSpeech) -> Html:
    told = one.ended.strftime("%H:%M:%S")
    return el("time", told, datetime=one.ended.isoformat(timespec="seconds"), class_="number")


def _rates(rates: Rates | Tries | None) -> str:
    """A table of limits in words; empty where it sets none."""
    if rates is None:
        return ""
    given = msgspec.structs.asdict(rates)
    return ", ".join(
        f"{value:,} {_measure(key)}" for key, value in given.items() if value is not None
    )


def _measure(key: str) -> str:
    """What a key of the config limits: `requests_per_minute` is `requests a minute`."""
    if key == "concurrent":
        return "at once"
    return key.replace("_per_", " a ").replace("_burst", " in a burst")


def _of_config(found: Readiness) -> list[str]:
    config = found.config
    told = [f"a restart is needed for {', '.join(config.restart)}"] if config.restart else []
    return [*told, f"a newer config was not taken: {config.refused}"] if config.refused else told
