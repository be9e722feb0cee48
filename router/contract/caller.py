"""Who is calling, and the gate that decides what they may have, at whose cost."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from router.contract.provider import Secret

Credits = Annotated[float, Meta(ge=0, le=1_000_000_000)]


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller pays for speech, in credits.

    One of three rates counts: that of tokens where it is given and the upstream reported them, else
    that of audio where it is given, else that of characters.
    """

    credits_per_1k_chars: Credits = 0.0
    """For 1,000 code points of the text."""
    credits_per_1k_tokens: Credits | None = None
    credits_per_audio_s: Credits | None = None
    minimum: Credits = 0.0
    """The least that speech costs of which anything was heard."""
    increment: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    """So many code points, tokens or milliseconds are billed at once, the last of them in full."""
    cached_percent: Annotated[int, Meta(ge=0, le=100)] = 100
    """What speech costs that was kept from before, of the same price."""

    @property
    def counts_audio(self) -> bool:
        """Whether the length of the audio has to be known."""
        return self.credits_per_audio_s is not None or self.credits_per_1k_tokens is not None


class Caller(msgspec.Struct, frozen=True):
    """Somebody who may speak. `id` is safe for logs: never a key."""

    id: str
    name: str = ""
    models: frozenset[str] | None = None
    """Public models that may be asked for, casefolded; `None`: all."""
    providers: frozenset[str] | None = None
    """Instances that may speak; `None`: all."""
    address: str = ""
    """Where the call came from."""
    account: Any = None
    """What the gate knows of it; nobody else looks inside."""

    def __repr__(self) -> str:
        return f"Caller({self.id!r}, {self.name!r})"

    def may_ask_for(self, model: str) -> bool:
        """Whether this public model is one of the caller's own."""
        return self.models is None or model.strip().casefold() in self.models


class Offer(msgspec.Struct, frozen=True):
    """A candidate of the plan, as far as it is paid."""

    provider: str
    model: str
    """The upstream's."""
    price: Price


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a request would take. No text is in it."""

    request_id: str
    model: str
    """The public model."""
    characters: int
    """Code points of the text; 0 where there is nothing to say."""
    offers: tuple[Offer, ...] = ()
    most_audio_s: float = 0.0
    """The most that the text can last; told where a price counts audio."""
    once: tuple[str, bytes] | None = None
    """The caller's Idempotency-Key, and a hash of all that was asked for under it."""


class Share(msgspec.Struct, frozen=True):
    """What one provider's model has spoken of a speech."""

    provider: str
    model: str
    """The upstream's."""
    audio_s: float


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What left of a speech, and what the whole of it is or would have been."""

    provider: str
    model: str
    """The upstream's."""
    characters: int
    """Of the whole text."""
    audio_s: float | None
    """Seconds that left; `None`: nobody looked inside what was passed through."""
    whole_s: float | None
    """Seconds of the whole; `None`: not known, and of no use."""
    tokens: int | None = None
    """Of the whole, as the upstream reported them."""
    is_whole: bool
    cached: bool = False
    shares: tuple[Share, ...] = ()
    """Who has spoken how much, where more than one did: each counts by its own price."""


class Standing(msgspec.Struct, frozen=True):
    """What is left of one limit."""

    limit: int
    remaining: int
    reset_s: float
    """Seconds until all of it is there again."""


class Standings(msgspec.Struct, frozen=True):
    """How a caller stands, for the headers of an answer."""

    requests: Standing | None = None
    characters: Standing | None = None


class Receipt(msgspec.Struct, frozen=True):
    """What a request costs and what is left, as decimals in credits; `None`: not known, not
    metered."""

    cost: str | None = None
    balance: str | None = None


class Grant(Protocol):
    """Leave to speak one request, while its context is entered."""

    @property
    def standings(self) -> Standings: ...

    @property
    def charged(self) -> float:
        """Credits that were taken from a balance; 0 until it is left."""
        ...

    def receipt(self, delivered: Delivered) -> Receipt:
        """What it would cost if this were delivered. Nothing is charged by asking."""
        ...

    def heard(self, delivered: Delivered) -> None:
        """Something was heard: it is charged when the grant is left. Where this is never called,
        nothing is."""
        ...


class Turn(Protocol):
    """Leave to ask one provider once."""

    def done(self) -> None:
        """Give the place back; twice is harmless. What was counted stays counted."""
        ...


class Trouble(msgspec.Struct, frozen=True):
    """Something that a gate stands on and has lost."""

    what: str
    stops: bool
    """Whether nobody can pass until it is back."""
    store: Literal["limits", "books"] = "limits"


class Gate(Protocol):
    """Keys, rates and credit, seen from the flow."""

    async def identify(self, credential: Secret | None, address: str) -> Caller:
        """Who this is; `address` is the caller's IP address.

        Raises:
            Unauthenticated: no key, or not one of ours.
            RateLimited: too many failed tries from this address.
            Overloaded: the keys cannot be read now.
        """
        ...

    async def visit(self, address: str) -> None:
        """Let somebody look at what needs no key.

        Raises:
            RateLimited: too often from this address.
        """
        ...

    def admit(self, caller: Caller, ask: Ask) -> AbstractAsyncContextManager[Grant]:
        """Hold the caller's place, rate and credit for one request; leaving settles them.

        Raises:
            OutOfCredit, RateLimited: nothing was taken.
            IdempotencyConflict: the key was paid for another request, here or elsewhere.
            Overloaded: rates or books cannot be kept now.
        """
        ...

    def attempt(self, provider: str, ask: Ask) -> Awaitable[Turn]:
        """Take what one request needs of a provider's own limits, all or nothing.

        Raises:
            Busy: with the seconds after which it may be asked again.
        """
        ...

    def troubles(self) -> list[Trouble]:
        """What is wrong with it now, for readiness."""
        ...


class _Free:
    """Nothing is limited and nothing is paid."""

    standings = Standings()
    charged = 0.0

    def receipt(self, delivered: Delivered) -> Receipt:
        return _NO_RECEIPT

    def heard(self, delivered: Delivered) -> None:
        """Nobody counts."""

    def done(self) -> None:
        """Nothing was taken."""


HOUSE = Caller("house")
"""The router itself, which speaks samples of voices: nothing is limited, nothing is paid."""
_NO_RECEIPT = Receipt()
FREE = _Free()
"""A grant, and a turn, that costs nothing."""


class OpenGate:
    """The gate of a server without keys: everybody on this machine may speak."""

    async def identify(self, credential: Secret | None, address: str) -> Caller:
        return _LOCAL

    async def visit(self, address: str) -> None:
        """Everybody may look."""

    def admit(self, caller: Caller, ask: Ask) -> AbstractAsyncContextManager[Grant]:
        return nullcontext(FREE)

    async def attempt(self, provider: str, ask: Ask) -> Turn:
        return FREE

    def troubles(self) -> list[Trouble]:
        return []


_LOCAL = Caller("local")
