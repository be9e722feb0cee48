"""A provider that reads numbers aloud, and writes down what it begins to read before it does.

A text is numbers in sentences of seven; each sentence ends with the name of its text, in letters,
so that every piece tells whose it is. What a name begins with says how the reading ends.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec

from router.contract.audio import AudioFormat, AudioStream
from router.contract.errors import Refused
from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Kind, Provider
from router.contract.speech import Capabilities, SpeechOrder, Voice
from tests.dispatch.indices import spoken_words

READER = "tests.soak.reader"
MODEL = "numbers"
RATE = 24_000
_FORMAT = AudioFormat("pcm", RATE, 1)
_CHUNK_BYTES = 48_000
_LETTERS = "abcdefghij"
Fate = Literal["fine", "refused", "deadly"]
"""Read to the end; refused by the provider; or the end of the process that reads it."""


class Line(msgspec.Struct, frozen=True):
    """A piece is begun, or was read to its end."""

    what: Literal["begins", "ends"]
    text: str
    """The name of the text."""
    first: int
    """The piece's first number."""
    at_ns: int
    process: int


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ledger: str
    """A file to which all processes add lines."""
    pause_s: float = 0.0
    """Before a piece is read to its end."""


class Reader:
    def __init__(self, settings: Settings, ledger: int) -> None:
        self._settings = settings
        self._ledger = ledger

    def offers(self) -> Mapping[str, Capabilities]:
        return {MODEL: Capabilities(formats=(_FORMAT,), chooses_voice=True)}

    async def voices(self) -> Sequence[Voice]:
        return []

    async def health(self) -> None:
        """It is always there."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        name, first = _whose(order.text)
        self._note("begins", name, first)
        if name.startswith("refused"):
            raise Refused("This text is not read here.")
        if name.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        yield AudioStream(_FORMAT, self._read(order.text, name, first))

    async def _read(self, text: str, name: str, first: int) -> AsyncIterator[bytes]:
        sound = spoken_words(text)
        middle = len(sound) // 2 // _CHUNK_BYTES * _CHUNK_BYTES
        for at in range(0, len(sound), _CHUNK_BYTES):
            if at == middle:
                await asyncio.sleep(self._settings.pause_s)
            yield sound[at : at + _CHUNK_BYTES]
        self._note("ends", name, first)

    def _note(self, what: Literal["begins", "ends"], name: str, first: int) -> None:
        line = Line(what, name, first, time.time_ns(), os.getpid())
        os.write(self._ledger, msgspec.json.encode(line) + b"\n")


def text_of(name: str, words: int) -> str:
    """The numbers from 0, in sentences that end with the name."""
    out = []
    for number in range(words):
        ends = (number + 1) % 7 == 0 or number + 1 == words
        out.append(f"{number} {name}. " if ends else f"{number} ")
    return "".join(out)


def name_of(fate: Fate, number: int) -> str:
    """A name without digits, which would be read."""
    return fate + "".join(_LETTERS[int(digit)] for digit in str(number))


def lines(ledger: Path) -> list[Line]:
    """What was written down, in its order; a line that its process did not finish is none."""
    whole = [line for line in ledger.read_bytes().split(b"\n") if line.endswith(b"}")]
    return [msgspec.json.decode(line, type=Line) for line in whole]


def _whose(text: str) -> tuple[str, int]:
    numbers, names = re.findall(r"\d+", text), re.findall(r"[a-z]+", text)
    return names[0], int(numbers[0])


@asynccontextmanager
async def _open(settings: Settings, _host: Host) -> AsyncIterator[Provider]:
    ledger = os.open(settings.ledger, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    try:
        yield Reader(settings, ledger)
    finally:
        os.close(ledger)


@hookimpl
def tts_provider_kinds() -> Iterable[Kind]:
    return [Kind(name="reader", settings=Settings, open=_open, summary="reads numbers")]
