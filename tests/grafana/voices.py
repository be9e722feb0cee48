"""Scripted voices of a kind that settings alone cannot give: a plugin for a server process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec

from router.contract.audio import AudioFormat
from router.contract.errors import Broken
from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Kind, State
from router.contract.record import ChunkRegenerated
from router.contract.speech import Capabilities, Cost, SpeechOrder
from router.testing.script import Raise, Script, Tone, in_turn
from router.testing.scripted import Scripted
from router.testing.tone import RATE

FORMATS = (AudioFormat("pcm", RATE, 1),)
SLOW_FACTOR = 1.5
"""The real-time factor of the slow engine."""
COST = Cost(per_1k_chars=2.0, currency="EUR")
"""Of the dear one."""


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is to be set."""


class SlowEngine(Scripted):
    """A voice that says of itself that it is an engine of this machine. It is no fast one, for it
    makes a part of each speech again."""

    def state(self) -> State:
        return State(line="it is ready.", gauges={"ready": 1.0})


@asynccontextmanager
async def slow_engine(_settings: NoSettings, host: Host) -> AsyncIterator[Scripted]:
    script = Script(speaking=(Tone(2.0, pace=SLOW_FACTOR),))

    def play(_order: SpeechOrder) -> Script:
        host.publish(ChunkRegenerated(host.name, "loop"))
        return script

    offers = {"slow-1": Capabilities(formats=FORMATS, chooses_voice=True)}
    yield SlowEngine(play, offers=offers)


@asynccontextmanager
async def dear(_settings: NoSettings, _host: Host) -> AsyncIterator[Scripted]:
    offers = {"dear-1": Capabilities(formats=FORMATS, chooses_voice=True, cost=COST)}
    yield Scripted(Script(speaking=(Tone(2.0),)), offers=offers)


@asynccontextmanager
async def dying(_settings: NoSettings, _host: Host) -> AsyncIterator[Scripted]:
    """Speaks the first piece of all, and dies in every other one."""
    offers = {"dying-1": Capabilities(formats=FORMATS, chooses_voice=True)}
    dies = Script(speaking=(Tone(0.1), Raise(Broken("It is in the script."))))
    yield Scripted(in_turn(Script(speaking=(Tone(2.0),)), dies), offers=offers)


@hookimpl
def tts_provider_kinds() -> Iterable[Kind]:
    return [
        Kind(name="slow-engine", settings=NoSettings, open=slow_engine, summary="for tests"),
        Kind(name="dear", settings=NoSettings, open=dear, summary="for tests"),
        Kind(name="dying", settings=NoSettings, open=dying, summary="for tests"),
    ]
