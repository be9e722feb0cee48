"""The espeak provider: orders become texts for a child process, its frames become a stream."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import espeakng_loader
import msgspec

from providers.espeak.languages import UNREADABLE, Catalogue
from providers.espeak.pool import Pool
from providers.espeak.text import cleaned, has_han, is_speakable, with_breaks
from providers.espeak.worker import Worker
from router.contract.audio import AudioFormat, AudioStream
from router.contract.errors import Broken, NotReady, Refused
from router.contract.provider import Provider
from router.contract.speech import Capabilities, SpeechOrder, Voice

_HERE = Path(__file__).parent

MODEL = "espeak-ng"
FORMAT = AudioFormat("pcm", 22050, 1)

_LONGEST_TEXT = 40_000
"""Code points, 40 minutes of speech: preparing more would keep the event loop busy for too long."""

_WORDS_A_MINUTE = 175  # at speed 1
_RATES = (80, 1000)
_SPEEDS = (0.48, 5.7)
"""True within 3 % from 0.5 to 2; beyond 2.6 espeak-ng shortens the sound itself."""
_SEMITONES = (-5.0, 9.0)
"""What its pitch of 0 to 99 comes to, 50 being unchanged: half a semitone more or less by voice."""


class Utterance(msgspec.Struct, frozen=True):
    """One text, as the child is told to say it."""

    text: str
    voice: str
    rate: int
    pitch: int


class Writing(msgspec.Struct, frozen=True):
    """One Japanese text, to be read as katakana."""

    text: str


class Espeak:
    """espeak-ng in a pool of child processes; see `child.py` for why."""

    def __init__(self, catalogue: Catalogue, speakers: Pool, readers: Pool | None) -> None:
        self._catalogue = catalogue
        self._speakers = speakers
        self._readers = readers
        self._unreadable: Mapping[str, frozenset[str]] = {
            language: scripts
            for language, scripts in UNREADABLE.items()
            if language != "ja" or readers is None
        }

    def offers(self) -> Mapping[str, Capabilities]:
        return {
            MODEL: Capabilities(
                formats=(FORMAT,),
                max_chars=_LONGEST_TEXT,
                languages=self._catalogue.languages(),
                unreadable=self._unreadable,
                speed=_SPEEDS,
                pitch=_SEMITONES,
                chooses_voice=True,
            )
        }

    async def voices(self) -> Sequence[Voice]:
        return self._catalogue.voices()

    async def health(self) -> None:
        if self._speakers.is_full:
            return  # they are all speaking
        async with self._speakers.worker() as worker:
            await worker.check()

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        utterance = await self._utterance(order, format)
        async with AsyncExitStack() as lent:
            worker = await lent.enter_async_context(self._speakers.worker())
            worker.order(utterance)
            first = await worker.next()
            if first is None:
                raise Broken("espeak-ng ended without a sound")
            chunks = _Chunks(worker, first, lent.aclose)
            try:
                yield AudioStream(FORMAT, chunks, voice=utterance.voice)
            finally:
                chunks.left = True

    async def _utterance(self, order: SpeechOrder, format: AudioFormat) -> Utterance:
        self._check(order, format)
        voice = self._voice(order)
        language = order.language.lower().partition("-")[0]
        text = cleaned(order.text)
        if language == "ja" and self._readers is not None:
            text = await _read(self._readers, text)
        return Utterance(
            text=with_breaks(text),
            voice=voice,
            rate=round(min(max(_WORDS_A_MINUTE * order.speed, _RATES[0]), _RATES[1])),
            pitch=_pitch(order.pitch or 0.0),
        )

    def _check(self, order: SpeechOrder, format: AudioFormat) -> None:
        if order.model != MODEL:
            raise Refused(f"espeak-ng has one model: {MODEL}")
        if not format.admits(FORMAT):
            raise Refused(f"espeak-ng delivers {FORMAT} only")
        if order.clip is not None:
            raise Refused("espeak-ng cannot clone a voice")
        if len(order.text) > _LONGEST_TEXT:
            raise Refused(f"espeak-ng takes at most {_LONGEST_TEXT} characters at once")
        if not is_speakable(order.text):
            raise Refused("espeak-ng finds nothing to say in this text")
        language = order.language.lower().partition("-")[0]
        if language in self._unreadable and has_han(order.text):
            raise Refused(f"espeak-ng cannot read Chinese characters in {language}")

    def _voice(self, order: SpeechOrder) -> str:
        if order.voice.id is not None:
            named = self._catalogue.voice_named(order.voice.id, order.language)
            if named is None:
                raise Refused("espeak-ng has no voice of that name")
            return named
        voice = self._catalogue.voice_for(order.language, order.voice.gender)
        if voice is None:
            raise Refused("espeak-ng does not speak this language")
        return voice


class _Chunks:
    """The audio of one utterance. It ends when its utterance has been left, so that it can never
    take the audio of the next; at its end the worker is given back, while the caller still listens.
    """

    def __init__(
        self, worker: Worker, first: bytes, give_back: Callable[[], Awaitable[None]]
    ) -> None:
        self._worker = worker
        self._give_back = give_back
        self._first: bytes | None = first
        self.left = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.left:
            raise StopAsyncIteration
        if self._first is not None:
            first, self._first = self._first, None
            return first
        chunk = await self._worker.next()
        if chunk is None:
            self.left = True
            await self._give_back()
            raise StopAsyncIteration
        return chunk


def _pitch(semitones: float) -> int:
    """espeak-ng's pitch, 0 to 99: two straight lines through what was measured."""
    lowest, highest = _SEMITONES
    reach = 49 / highest if semitones > 0 else 50 / -lowest
    return round(50 + min(max(semitones, lowest), highest) * reach)


async def _read(readers: Pool, text: str) -> str:
    """The text as katakana."""
    parts = []
    async with readers.worker() as worker:
        worker.order(Writing(text))
        while (part := await worker.next()) is not None:
            parts.append(part)
    return b"".join(parts).decode()


@asynccontextmanager
async def open_espeak(*, children: int) -> AsyncIterator[Provider]:
    """Open the provider; nothing of its processes is left on leaving.

    Raises:
        NotReady: espeakng-loader holds no library for this system.
    """
    catalogue = await asyncio.to_thread(Catalogue, Path(espeakng_loader.get_data_path()))
    speakers, readers = Pool(_speaking(), children), _readers()
    try:
        yield Espeak(catalogue, speakers, readers)
    finally:
        await speakers.close()
        if readers is not None:
            await readers.close()


def _speaking() -> list[str]:
    """The command of a child that speaks."""
    library = Path(espeakng_loader.get_library_path())
    if not library.is_file():
        raise NotReady("espeakng-loader holds no library for this system")
    program = _HERE / "child.py"
    arguments = [program, library, espeakng_loader.get_data_path()]
    return [sys.executable, "-I", "-S", *map(str, arguments)]


def _readers() -> Pool | None:
    """One reader of kanji, if the `ja` extra is installed; it starts at the first Japanese text."""
    spec = importlib.util.find_spec("pyopenjtalk")
    if spec is None or spec.origin is None:
        return None
    site = Path(spec.origin).parent.parent
    arguments = [_HERE / "kana.py", _HERE.parent.parent, site]
    return Pool([sys.executable, "-I", *map(str, arguments)], 1)
