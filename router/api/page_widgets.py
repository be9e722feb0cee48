"""What a page of ours is made of: figures, tables, marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from router.api.operations import PlacesState
from router.api.page_html import Html, el, joined

NONE = "–"
_MARKS = {
    **dict.fromkeys(("ready", "on", "spoken", "accepted"), "good"),
    **dict.fromkeys(("not ready", "half open", "refused", "abandoned"), "warn"),
    **dict.fromkeys(("nobody", "open", "failed", "broken"), "bad"),
}


def figures(seen: Iterable[tuple[str, Html]]) -> Html:
    """Numbers with their names."""
    pairs = (el("div", el("dt", name), el("dd", value)) for name, value in seen)
    return el("dl", *pairs, class_="figures")


def table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[Html | str]], empty: str
) -> Html:
    """A table that says of itself what it is, for it is laid out as a list on a phone."""
    heading = el("h2", title)
    if not rows:
        return joined(heading, el("p", empty, class_="none"))
    names = (el("th", name, scope="col", role="columnheader") for name in heads)
    head = el("thead", el("tr", *names, role="row"), role="rowgroup")
    body = el("tbody", *(_row(heads, row) for row in rows), role="rowgroup")
    return joined(heading, el("table", head, body, role="table", aria_label=title))


def mark(state: str) -> Html:
    """A word for how something is; its colour says the same."""
    return el("span", state, class_=f"mark {_MARKS.get(state, '')}".strip())


def in_use(places: PlacesState) -> Html:
    """How many of how many."""
    told = f"{places.in_use} of {places.size}"
    waiting = f", {places.waiting} waiting" if places.waiting else ""
    meter = el("meter", told, max=places.size, value=places.in_use, aria_label=f"{told} in use")
    return el("span", f"{told}{waiting} ", meter, class_="number")


def number(told: str) -> Html:
    """A number that stands straight below the others."""
    return joined(told) if told == NONE else el("span", told, class_="number")


def seconds(lasted_s: float | None) -> str:
    """A time, as exact as it matters."""
    if lasted_s is None:
        return NONE
    if lasted_s < 1:
        return f"{lasted_s * 1000:.0f} ms"
    return f"{lasted_s:.2f} s" if lasted_s < 10 else f"{lasted_s:,.0f} s"


def lines(parts: Iterable[Html]) -> list[Html]:
    """The parts, each on a line of its own."""
    return [el("div", part) for part in parts]


def _row(heads: Sequence[str], row: Sequence[Html | str]) -> Html:
    first = el("th", row[0], scope="row", role="rowheader")
    rest = (
        el("td", el("span", cell), role="cell", data_label=name, class_=_empty(cell))
        for name, cell in zip(heads[1:], row[1:], strict=True)
    )
    return el("tr", first, *rest, role="row")


def _empty(cell: str) -> str | None:
    return "empty" if cell == NONE else None
