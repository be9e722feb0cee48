"""Who is calling, and the gate that decides whether they may."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

import msgspec

from router.contract.provider import Secret
from router.contract.speech import SpeechRequest


class Caller(msgspec.Struct, frozen=True):
    """Somebody who may speak. `id` is safe for logs: never a key."""

    id: str


class Gate(Protocol):
    """Keys, rates and credit, seen from the flow."""

    async def identify(self, credential: Secret | None, address: str) -> Caller:
        """Who this is; `address` is the caller's IP address.

        Raises:
            Unauthenticated: no key, or not one of ours.
            RateLimited: too many failed tries from this address.
        """
        ...

    def admit(self, caller: Caller, request: SpeechRequest) -> AbstractAsyncContextManager[None]:
        """Hold the caller's place, rate and credit for one request; leaving settles them.

        Raises:
            Forbidden, OutOfCredit, RateLimited: nothing was taken.
        """
        ...


class OpenGate:
    """The gate of a server without keys: everybody on this machine may speak."""

    async def identify(self, credential: Secret | None, address: str) -> Caller:
        return Caller("local")

    def admit(self, caller: Caller, request: SpeechRequest) -> AbstractAsyncContextManager[None]:
        return nullcontext()
