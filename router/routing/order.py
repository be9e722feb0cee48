"""Who is asked first: the candidates of a plan in the order of their route.

Pure: the same candidates, beliefs and dice give the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec

from router.contract.speech import Cost
from router.settings.structs import Order

TRIED_SHARE = 0.05
"""Part of the requests in which another than the fastest is asked first, so that it can show
whether it still is slower."""
CHARS_PER_S = 15.0
"""Of speech, as English is read aloud: what a text lasts, where a price counts minutes and a speed
counts seconds."""


class Belief(msgspec.Struct, frozen=True):
    """What is thought of one provider's model, from what it did of late."""

    first_audio_s: float | None = None
    """Typical seconds to its first sound; `None`: never heard."""
    real_time_factor: float | None = None
    """Seconds of work for a second of audio."""
    state: Literal["closed", "open", "half_open"] = "closed"
    """Open: it is left alone."""
    wait_s: float = 0.0
    """Until it may be tried again."""
    reason: str = ""
    """Why it is, or was, left alone."""


Beliefs = Mapping[tuple[str, str], Belief]
"""By provider and its model."""
_NONE = Belief()


class Orderable(Protocol):
    """What an order needs to know of a candidate."""

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def cost(self) -> Cost | None: ...


_C = TypeVar("_C", bound=Orderable)


def preferred(order: Order, wish: str | None) -> tuple[Order, str | None]:
    """A caller's wish in the words of `ordered`: another order, or a provider to come first."""
    wish = (wish or "").strip()
    if wish.lower() == "fastest":
        return "fastest", None
    if wish.lower() == "cheapest":
        return "cheapest", None
    return order, wish or None


def ordered(
    candidates: Sequence[_C],
    order: Order,
    beliefs: Beliefs,
    *,
    characters: int,
    dice: float,
    first: str | None = None,
) -> list[_C]:
    """The candidates as they are to be asked.

    `characters` are those of the text, `dice` is 0 to 1 (not included), `first` a provider that is
    preferred to all others, in any case; nobody has to have that name. What is not known is thought
    neither cheap nor slow: a provider without a price is free, one that was never heard comes
    before those that were.
    """
    if order == "weighted":
        found = _weighted(candidates, dice)
    elif order == "cheapest":
        found = sorted(candidates, key=lambda candidate: price(candidate.cost, characters))
    elif order == "fastest":
        found = _fastest(candidates, beliefs, characters, dice)
    else:
        found = list(candidates)
    return found if first is None else _led_by(first, found)


def _led_by(first: str, candidates: list[_C]) -> list[_C]:
    """Names are told apart by case where a config has both."""
    name = first.casefold()
    found = sorted(candidates, key=lambda candidate: candidate.provider.casefold() != name)
    return sorted(found, key=lambda candidate: candidate.provider != first)


def price(cost: Cost | None, characters: int) -> float:
    """What a provider takes for so many characters, in its own currency."""
    if cost is None:
        return 0.0
    minutes = characters / CHARS_PER_S / 60
    return cost.per_1k_chars * characters / 1000 + cost.per_minute * minutes


def _weighted(candidates: Sequence[_C], dice: float) -> list[_C]:
    """The first is drawn by weight, the rest follow as listed."""
    total = sum(candidate.weight for candidate in candidates)
    at = dice * total
    for drawn, candidate in enumerate(candidates):
        at -= candidate.weight
        if at < 0:
            rest = [*candidates[:drawn], *candidates[drawn + 1 :]]
            return [candidate, *rest]
    return list(candidates)


def _fastest(candidates: Sequence[_C], beliefs: Beliefs, characters: int, dice: float) -> list[_C]:
    """By the time in which a listener has heard all of it, where it plays as it comes."""

    def takes_s(candidate: _C) -> float:
        belief = beliefs.get((candidate.provider, candidate.model), _NONE)
        if belief.first_audio_s is None:
            return 0.0
        lags = max(0.0, (belief.real_time_factor or 0.0) - 1.0)
        return belief.first_audio_s + lags * characters / CHARS_PER_S

    found = sorted(candidates, key=takes_s)
    if dice < TRIED_SHARE and len(found) > 1:
        tried = 1 + int(dice / TRIED_SHARE * (len(found) - 1))
        found.insert(0, found.pop(tried))
    return found
