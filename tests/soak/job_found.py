"""What was seen of a run of `tests.soak.jobs`, and what must hold of it."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from router.accounts.price import nano_of
from tests.soak.books import Row
from tests.soak.reader import Line

PRICE = 1.0
"""Credits for 1,000 code points."""


class Wanted(msgspec.Struct, frozen=True):
    """A job as it was handed in."""

    id: str
    key: str
    name: str
    words: int
    characters: int


class Found(msgspec.Struct):
    """What was seen of the jobs."""

    wanted: dict[str, Wanted]
    """By id."""
    states: dict[str, set[str]] = msgspec.field(default_factory=lambda: defaultdict(set))
    """In which each was seen to have ended."""
    ended_ns: dict[str, int] = msgspec.field(default_factory=dict)
    finished_ns: dict[tuple[str, int], int] = msgspec.field(default_factory=dict)
    """When a piece was known to be finished."""
    told: dict[str, Counter[str]] = msgspec.field(default_factory=lambda: defaultdict(Counter))
    """The messages of each job, by `webhook-id` and kind."""
    forged: int = 0
    """Messages whose signature was wrong."""
    wrong_audio: list[str] = msgspec.field(default_factory=list)
    heard: set[str] = msgspec.field(default_factory=set)
    """Jobs whose audio was fetched and is right."""
    waited_for_room: int = 0
    """Looks at which jobs waited that would have been taken, had there been room."""
    lines: list[Line] = msgspec.field(default_factory=list)
    rows: list[Row] = msgspec.field(default_factory=list)
    balances: dict[str, int] = msgspec.field(default_factory=dict)
    reserved: int = 0
    kills: int = 0
    deaths: int = 0
    """Processes that ended by what they read."""
    crashes: int = 0
    seconds: float = 0.0
    most_bytes: int = 0
    """The most that lay in the folder."""


def check(found: Found) -> None:
    """Every job ended once, and nothing that was finished was read again."""
    fates = {id: _fate(found, one) for id, one in found.wanted.items()}
    wrong = {id: found.states[id] for id, state in fates.items() if found.states[id] != {state}}
    assert not wrong, f"ended otherwise: {list(wrong.items())[:5]}"
    kinds = {"completed": "job.completed", "error": "job.failed"}
    for id, state in fates.items():
        messages = found.told[id]
        assert len(messages) == 1, f"told in two ways: {messages}"
        assert next(iter(messages)).endswith(kinds[state]), messages
    assert found.forged == 0
    assert not found.wrong_audio, found.wrong_audio[:5]
    assert found.heard == {id for id, state in fates.items() if state == "completed"}
    again = read_again(found)
    assert not again, f"read again although finished: {again[:5]}"
    _check_books(found, fates)


def _fate(found: Found, one: Wanted) -> str:
    return "completed" if one.name.startswith("fine") else "error"


def read_again(found: Found) -> list[tuple[str, int]]:
    """Pieces that were begun when they were known to be finished, or when their job had ended."""
    ids = {one.name: id for id, one in found.wanted.items()}
    firsts: dict[str, set[int]] = defaultdict(set)
    for line in found.lines:
        firsts[line.text].add(line.first)
    numbers = {name: {f: n for n, f in enumerate(sorted(some))} for name, some in firsts.items()}
    again = []
    for line in found.lines:
        piece = (ids[line.text], numbers[line.text][line.first])
        known = (found.finished_ns.get(piece), found.ended_ns.get(piece[0]))
        if line.what == "begins" and any(at is not None and line.at_ns > at for at in known):
            again.append(piece)
    return again


def _check_books(found: Found, fates: dict[str, str]) -> None:
    """Each account has what its rows sum up to; a job that was spoken is paid, once."""
    sums: Counter[str] = Counter()
    charged: dict[str, list[int]] = defaultdict(list)
    for row in found.rows:
        sums[row.account] += row.amount
        id = row.request.partition(".")[0]
        if id in fates and row.kind in {"settle", "release"}:
            charged[id].append(row.charged)
    assert {account: sums[account] for account in found.balances} == found.balances
    assert found.reserved == 0
    for id, state in fates.items():
        price = nano_of(PRICE) * found.wanted[id].characters // 1_000
        assert charged[id] == [price if state == "completed" else 0], found.wanted[id]


def told(name: str, found: Found) -> str:
    """What happened, for people."""
    begun = Counter((line.text, line.first) for line in found.lines if line.what == "begins")
    states = Counter(state for some in found.states.values() for state in some)
    messages = sum(sum(some.values()) for some in found.told.values())
    return (
        f"{name}: {len(found.wanted)} jobs in {found.seconds:.0f} s: {dict(states)}; "
        f"{found.kills} processes killed, {found.deaths} died of their text, {found.crashes} "
        f"crashes of the store, {found.waited_for_room} looks at a full folder; {len(begun)} "
        f"pieces read in {sum(begun.values())} beginnings, none again once it was finished; "
        f"{messages} messages taken; the books balance"
    )
