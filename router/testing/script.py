"""The acts of which a script is made.

They say what one synthesis does; `router.testing.scripted` plays them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from router.contract.speech import SpeechOrder


class Pause(msgspec.Struct, frozen=True):
    """Wait. Zero seconds are one turn of the event loop."""

    seconds: float


class Until(msgspec.Struct, frozen=True):
    """Wait for the test."""

    event: asyncio.Event


class Hang(msgspec.Struct, frozen=True):
    """Wait for ever."""


class Raise(msgspec.Struct, frozen=True):
    """Fail, with an error of the contract or with any other."""

    error: Exception


class Tone(msgspec.Struct, frozen=True):
    """Sound: a tone in pcm and wav, the whole fixed body in any other encoding.

    `pace` is wall time per audio time: 1 is real time, 0 never waits at all (no real await between
    the chunks, also when `seconds` is `math.inf`).
    """

    seconds: float
    pace: float = 0.0


class Bytes(msgspec.Struct, frozen=True):
    """These bytes, as one chunk."""

    data: bytes


Step = Pause | Until | Hang | Raise
Act = Step | Tone | Bytes


class Script(msgspec.Struct, frozen=True):
    """What one synthesis does; the stream ends cleanly after the last act.

    In wav, a script with a `Tone` begins with the header as a chunk of its own, before any act:
    the header alone is not yet sound.
    """

    speaking: tuple[Act, ...] = (Tone(1.0),)
    entering: tuple[Step, ...] = ()
    leaving: tuple[Step, ...] = ()


Play = Callable[[SpeechOrder], Script]


def in_turn(*scripts: Script) -> Play:
    """The first script for the first order, and so on; the last one for all that follow."""
    waiting = list(scripts)
    return lambda _order: waiting.pop(0) if len(waiting) > 1 else waiting[0]
