"""A provider that plays a script, so that a test decides what happens and sees what happened.

In a test, with the provider in hand:

    voice = Scripted(Script(speaking=(Tone(0.5), Raise(Broken("cut")))))
    app = create_app(settings, plugins=[Players(first=voice)])  # `kind: first` in the settings
    await voice.until(lambda v: v.left == 1)

In a server process, by settings alone: this module is a plugin that brings the kind `scripted`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec

from router.contract.audio import AudioFormat, AudioStream, Encoding
from router.contract.errors import ProviderError, Refused
from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Kind
from router.contract.speech import Capabilities, SpeechOrder, Voice
from router.testing.script import (
    Act,
    Bytes,
    Hang,
    Pause,
    Play,
    Raise,
    Script,
    Step,
    Tone,
    Until,
    in_turn,
)
from router.testing.scripted_settings import DEFAULT_FORMATS, FAILURES, ScriptedSettings
from router.testing.tone import RATE, slices, tone, tone_bytes, wav_header

__all__ = [
    "FAILURES",
    "Act",
    "Bytes",
    "Hang",
    "Pause",
    "Play",
    "Players",
    "Raise",
    "Script",
    "Scripted",
    "ScriptedSettings",
    "Step",
    "Tone",
    "Until",
    "in_turn",
    "kind_of",
]

# ------------------------------------------------------------------------------------------------
# the provider

DEFAULT_OFFERS = {"tone-1": Capabilities(formats=DEFAULT_FORMATS, chooses_voice=True)}
DEFAULT_VOICES = (Voice(id="tone", name="Tone"),)
PLAIN = Script()
_KEPT = 64
"""Orders that are remembered: a server may be sent thousands."""


class Scripted:
    """A provider that does what its script says and counts from the outside what happened."""

    def __init__(
        self,
        play: Script | Play = PLAIN,
        *,
        offers: Mapping[str, Capabilities] = DEFAULT_OFFERS,
        voices: Sequence[Voice] = DEFAULT_VOICES,
        bodies: Mapping[Encoding, bytes] | None = None,
        chunk_s: float = 0.04,
        ragged: bool = False,
    ) -> None:
        """`bodies` are whole files for the encodings that are not pcm or wav; `ragged` cuts chunks
        inside a sample."""
        self.play = play
        self.offering = offers
        self.cast = voices
        self.failure: ProviderError | None = None
        """What `health()` and `voices()` raise."""
        self.orders: deque[SpeechOrder] = deque(maxlen=_KEPT)
        """The last of them."""
        self.formats: deque[AudioFormat] = deque(maxlen=_KEPT)
        self.entered = 0
        self.accepted = 0
        self.left = 0
        self.most_open = 0
        self.chunks = 0
        self._bodies = bodies or {}
        self._chunk_s = chunk_s
        self._ragged = ragged
        self._changed = asyncio.Event()

    @property
    def open(self) -> int:
        """Speeches that were entered and not yet left."""
        return self.entered - self.left

    async def until(self, condition: Callable[[Scripted], bool]) -> None:
        """Wait until the counts satisfy `condition`."""
        while not condition(self):
            await self._changed.wait()

    def offers(self) -> Mapping[str, Capabilities]:
        return self.offering

    async def voices(self) -> Sequence[Voice]:
        await self.health()
        return self.cast

    async def health(self) -> None:
        if self.failure is not None:
            raise self.failure.with_traceback(None)

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        self.orders.append(order)
        self.formats.append(format)
        self.entered += 1
        self.most_open = max(self.most_open, self.open)
        self._tell()
        script: Script | None = None
        try:
            script = self.play if isinstance(self.play, Script) else self.play(order)
            sounding = self._admitted(order, format)
            for step in script.entering:
                await _take(step)
            self.accepted += 1
            self._tell()
            async with aclosing(self._speak(script.speaking, sounding)) as chunks:
                yield AudioStream(sounding, chunks, upstream_id=f"scripted-{self.entered}")
        finally:
            try:
                for step in script.leaving if script else ():
                    await _take(step)
            finally:
                self.left += 1
                self._tell()

    def _admitted(self, order: SpeechOrder, format: AudioFormat) -> AudioFormat:
        """The format that will be delivered."""
        offered = self.offering.get(order.model)
        if offered is None or not any(have.admits(format) for have in offered.formats):
            raise Refused(f"The script has no {format} for this model.")
        if not any(sign.isalnum() for sign in order.text):
            raise Refused("There is nothing speakable in the text.")
        if format.encoding not in ("pcm", "wav"):
            return format
        return AudioFormat(format.encoding, format.sample_rate or RATE, format.channels or 1)

    async def _speak(self, acts: Sequence[Act], format: AudioFormat) -> AsyncGenerator[bytes]:
        if format.encoding == "wav" and any(isinstance(act, Tone) for act in acts):
            yield self._counted(wav_header(_given_bytes(acts, format), format))
        for act in acts:
            if isinstance(act, Bytes):
                yield self._counted(act.data)
            elif isinstance(act, Tone):
                began = asyncio.get_running_loop().time()
                for at_s, chunk in self._sound(act, format):
                    if act.pace:
                        due = began + at_s * act.pace
                        await asyncio.sleep(due - asyncio.get_running_loop().time())
                    yield self._counted(chunk)
            else:
                await _take(act)

    def _sound(self, act: Tone, format: AudioFormat) -> Iterator[tuple[float, bytes]]:
        if format.encoding in ("pcm", "wav"):
            return tone(act.seconds, format, self._chunk_s, ragged=self._ragged)
        return slices(self._bodies.get(format.encoding, b""), act.seconds, self._chunk_s)

    def _counted(self, chunk: bytes) -> bytes:
        self.chunks += 1
        self._tell()
        return chunk

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def _take(step: Step) -> None:
    if isinstance(step, Pause):
        await asyncio.sleep(step.seconds)
    elif isinstance(step, Until):
        await step.event.wait()
    elif isinstance(step, Hang):
        await asyncio.get_running_loop().create_future()
    else:
        raise step.error.with_traceback(None)


def _given_bytes(acts: Sequence[Act], format: AudioFormat) -> float:
    """What all the sounding acts give together; infinite where one has no end."""
    given = 0.0
    for act in acts:
        if isinstance(act, Tone):
            given += tone_bytes(act.seconds, format)
        elif isinstance(act, Bytes):
            given += len(act.data)
    return given


# ------------------------------------------------------------------------------------------------
# as plugins


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a provider that was made by hand."""


class Players:
    """A plugin of providers that a test holds in its hand; each is a kind under its own name."""

    def __init__(self, **providers: Scripted) -> None:
        self._providers = providers

    @hookimpl
    def tts_provider_kinds(self) -> Iterable[Kind]:
        return [kind_of(name, provider) for name, provider in self._providers.items()]


def kind_of(name: str, provider: Scripted) -> Kind:
    """A kind whose every instance is the given provider."""

    @asynccontextmanager
    async def enter(_settings: NoSettings, _host: Host) -> AsyncIterator[Scripted]:
        yield provider

    return Kind(name=name, settings=NoSettings, open=enter, summary="plays a script")


@asynccontextmanager
async def open_scripted(settings: ScriptedSettings, _host: Host) -> AsyncIterator[Scripted]:
    bodies = {
        encoding: await asyncio.to_thread(Path(path).read_bytes)
        for encoding, path in settings.files.items()
    }
    provider = Scripted(
        settings.script,
        offers=settings.offers(),
        voices=[Voice(id=v, name=v) if isinstance(v, str) else v for v in settings.voices],
        bodies=bodies,
        chunk_s=settings.chunk_ms / 1000,
        ragged=settings.ragged,
    )
    failure = settings.failure()
    if isinstance(failure, ProviderError) and settings.fail_after_s is None:
        provider.failure = failure
    yield provider


@hookimpl
def tts_provider_kinds() -> Iterable[Kind]:
    summary = "plays a script from its settings: for tests"
    return [Kind(name="scripted", settings=ScriptedSettings, open=open_scripted, summary=summary)]
