"""What a fault proxy may do to an answer on its way back."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

AT_ONCE = 65_536
_LENGTH = re.compile(rb"(?i)(\r\ncontent-length: *)(\d+)")

End = Literal["cut", "reset", "stall"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to one answer on its way back."""

    latency_s: float = 0.0
    """Before its first byte."""
    after: int | None = None
    """Bytes of the body that still come through, as they are on the wire; -1: not even the head;
    `None`: all of them."""
    end: End = "cut"
    """What happens then: the connection is closed, or reset, or nothing more comes."""
    more: int = 0
    """Added to what `Content-Length` says; then the connection is closed where the body ends."""
    at_once: int = AT_ONCE
    every_s: float = 0.0
    """So many bytes, and then so many seconds of nothing."""


HEALTHY = Fault()


def latency(seconds: float) -> Fault:
    return Fault(latency_s=seconds)


def stalls(after: int) -> Fault:
    return Fault(after=after, end="stall")


def cuts(after: int) -> Fault:
    return Fault(after=after, end="cut")


def resets(after: int) -> Fault:
    return Fault(after=after, end="reset")


def miscounts(more: int) -> Fault:
    return Fault(more=more)


def drips(at_once: int, every_s: float) -> Fault:
    return Fault(at_once=at_once, every_s=every_s)


def length_of(head: bytes) -> int | None:
    found = _LENGTH.search(head)
    return int(found[2]) if found else None


def miscounted(head: bytes, fault: Fault) -> bytes:
    """The head, with a wrong length where the fault wants one."""
    told = length_of(head)
    if not fault.more or told is None:
        return head
    return _LENGTH.sub(lambda found: b"%b%d" % (found[1], told + fault.more), head)
