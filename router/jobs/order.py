"""All that a job needs to be spoken, as it lies in the store until the job has ended."""

from __future__ import annotations

import msgspec

from router.contract.caller import Caller, Offer
from router.contract.speech import SpeechRequest


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, by whom, at which prices, and how it is cut. It holds the text and the
    voice sample, so it appears nowhere else."""

    request: SpeechRequest
    """With the language of the whole text, so that every piece is spoken in it."""
    caller: Caller
    """Who asked, without what the gate knows of them: the job was let in already."""
    offers: tuple[Offer, ...]
    """The prices that held when it was handed in."""
    ends: tuple[int, ...]
    """Where each piece ends, in code points."""

    def piece(self, number: int) -> str:
        """The text of a piece, counted from 0."""
        begin = self.ends[number - 1] if number else 0
        return self.request.text[begin : self.ends[number]]

    def __repr__(self) -> str:
        return f"Order({self.request!r}, {len(self.ends)} pieces)"


def encoded(order: Order) -> bytes:
    """The order as it is stored."""
    return msgspec.msgpack.encode(order)


def decoded(stored: bytes) -> Order:
    """The order again."""
    return msgspec.msgpack.decode(stored, type=Order)
