"""A stage for the Speaker: scripted providers, and an ear for what is told of each request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from router.app.founding import speaking
from router.audio.wav import header
from router.contract.audio import AudioFormat, Clip
from router.contract.caller import Caller
from router.contract.record import Event, ProviderFailed, SpeechDoubted, SpeechRecord
from router.contract.speech import Capabilities, SpeechRequest
from router.dispatch.speaker import Speaker
from router.dispatch.speech import Speech
from router.registry import Kinds
from router.settings.load import parse
from router.testing.script import Script
from router.testing.scripted import Raise, Scripted, kind_of
from router.testing.tone import tone

PCM = AudioFormat("pcm", 24_000, 1)
WAV = AudioFormat("wav", 24_000, 1)
CALLER = Caller("somebody")
_SOUND = b"".join(chunk for _, chunk in tone(2.0, PCM, 1.0))
CLIP = Clip(header(24_000, 1, len(_SOUND)) + _SOUND, "wav")
"""Two seconds of a tone, as a voice sample."""


class Ear:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.records: list[SpeechRecord] = []
        self.events: list[Event] = []
        self.failures: list[ProviderFailed] = []
        self.doubts: list[SpeechDoubted] = []

    def recorded(self, record: SpeechRecord) -> None:
        self.records.append(record)

    def noticed(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, ProviderFailed):
            self.failures.append(event)
        elif isinstance(event, SpeechDoubted):
            self.doubts.append(event)


class Stage:
    """A Speaker, its providers by name, and what was heard of them."""

    def __init__(self, speaker: Speaker, players: Mapping[str, Scripted], ear: Ear) -> None:
        self.speaker = speaker
        self.players = players
        self.ear = ear

    @asynccontextmanager
    async def speak(
        self, request: SpeechRequest, record: SpeechRecord | None = None
    ) -> AsyncIterator[Speech]:
        async with self.speaker.speak(request, CALLER, record or opened()) as speech:
            yield speech

    async def heard(
        self, request: SpeechRequest, record: SpeechRecord | None = None
    ) -> tuple[Speech, bytes]:
        """The speech and its whole body."""
        async with self.speak(request, record) as speech:
            return speech, b"".join([chunk async for chunk in speech.chunks()])

    @property
    def held(self) -> int:
        """Speeches that the providers still hold."""
        return sum(player.open for player in self.players.values())


def opened() -> SpeechRecord:
    """The record of a request that begins now."""
    return SpeechRecord(request_id="r", shape="openai", opened=asyncio.get_running_loop().time())


def asking(text: str = "Hello there.", **changed: Any) -> SpeechRequest:
    """A request for the model `it`; PCM streams, WAV is held whole."""
    fields: dict[str, Any] = {"voice": "alloy", "format": PCM, **changed}
    return SpeechRequest(shape="openai", model="it", text=text, **fields)


def failing(error: Exception) -> Scripted:
    """A provider that never begins."""
    return Scripted(Script(entering=(Raise(error),)))


def able(**changed: Any) -> dict[str, Capabilities]:
    """The offer of a scripted provider."""
    return {"tone-1": Capabilities(**{"formats": (PCM, WAV), "chooses_voice": True, **changed})}


@asynccontextmanager
async def stage(
    folder: Path, config: Mapping[str, Any] | None = None, /, **players: Scripted
) -> AsyncIterator[Stage]:
    """Everything up to the Speaker, with these players asked in this order."""
    kinds = Kinds({name: kind_of(name, player) for name, player in players.items()}, {}, {})
    routes = [{"provider": name} for name in players]
    more = dict(config or {})
    own = more.pop("providers", {})
    whole = {
        "providers": {name: {"kind": name, **own.get(name, {})} for name in players},
        "models": {"it": {"routes": routes, "share": False, **more.pop("model", {})}},
        "integrity": {"judges": False},  # tones are no speech
        **more,
        "server": {
            "data_dir": str(folder / "data"),
            "cache_dir": str(folder / "cache"),
            **more.get("server", {}),
        },
    }
    ear = Ear()
    async with speaking(parse(json.dumps(whole), kinds.providers), kinds) as speaker:
        speaker.observers.join(ear)
        yield Stage(speaker, players, ear)
