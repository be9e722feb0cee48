"""A plugin whose provider refuses everything, and says how many tasks the server's loop has: so
that tasks can be counted from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from router.contract.audio import AudioFormat, AudioStream
from router.contract.errors import Refused
from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Kind, Provider
from router.contract.speech import Capabilities, SpeechOrder, Voice
from router.testing.scripted import NoSettings

TASKS = "tests.support.tasks"


class Counter:
    """A provider that counts instead of speaking."""

    def offers(self) -> Mapping[str, Capabilities]:
        return {"tasks": Capabilities(formats=(AudioFormat("pcm", 24_000, 1),), chooses_voice=True)}

    async def voices(self) -> Sequence[Voice]:
        return []

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        del order, format
        names = sorted(task.get_name() for task in asyncio.all_tasks())
        raise Refused(f"{len(names)} tasks")
        yield  # what makes it a generator

    async def health(self) -> None:
        """It is always there."""


@asynccontextmanager
async def _open(_settings: NoSettings, _host: Host) -> AsyncIterator[Provider]:
    yield Counter()


@hookimpl
def tts_provider_kinds() -> Iterable[Kind]:
    return [Kind(name="tasks", settings=NoSettings, open=_open, summary="counts tasks")]
