"""An office with scripted voices, as callers have it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from router.app.server import create_app
from router.contract.audio import AudioFormat
from router.contract.caller import Caller
from router.contract.provider import LOCAL_OWNER, Secret
from router.contract.speech import SpeechRequest
from router.dispatch.house import House
from router.dispatch.speaker import Speaker
from router.jobs.job import Job, Submission
from router.jobs.office import Office
from router.registry import Kinds
from router.settings.load import parse
from router.settings.structs import Settings
from router.store.databases import databases
from router.store.schema import jobs
from router.testing.scripted import Scripted, kind_of
from tests.dispatch.stage import Ear
from tests.support.scripts import UNJUDGED

Answer = TypeVar("Answer")

CALLER = Caller(LOCAL_OWNER)
WAV = AudioFormat("wav", 24_000, 1)
SENTENCE = "This is one sentence of a long book that nobody has ever read aloud. "
_LOOK_S = 0.02
FITS = 1_500 // len(SENTENCE)
"""Sentences in a piece."""


def book(pieces: int) -> str:
    """A text that is cut into so many pieces."""
    return SENTENCE * (FITS * (pieces - 1) + 1)


def submission(text: str = "Hello there.", **more: Any) -> Submission:
    """A job for the model `it`; fields of the request or of the submission may be others."""
    own = {name: more.pop(name) for name in list(more) if name in Submission.__struct_fields__}
    plain = {"shape": "openai", "model": "it", "voice": "alloy", "format": WAV, "text": text}
    request = SpeechRequest(**{**plain, **more})
    return Submission(request=request, asked_model=request.model, **own)


class Desk:
    """An office, its voices, and what was heard of them."""

    def __init__(self, app: Any, speaker: Speaker, ear: Ear, settings: Settings) -> None:
        self.office: Office = app.office
        self.house: House = app.house
        self.speaker = speaker
        self.ear = ear
        self.settings = settings
        self.caller = CALLER
        """Who hands jobs in, if nobody else is named."""

    @property
    def folder(self) -> Path:
        return Path(self.settings.jobs.dir or self.settings.data_dir / "jobs")

    @property
    def files(self) -> list[str]:
        """Names of the files that lie in the folder."""
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())

    async def submit(self, text: str = "Hello there.", **more: Any) -> Job:
        [job] = await self.office.submit([submission(text, **more)], self.caller)
        return job

    async def until(self, id: str, condition: Callable[[Job], bool]) -> Job:
        """The job, as soon as it is so."""
        async with self.office.watching(id, self.caller) as changes:
            async for job in changes:
                if condition(job):
                    return job
        raise AssertionError(f"it never came so: {job}")

    async def ended(self, id: str) -> Job:
        return await self.until(id, lambda job: job.has_ended)

    async def cancelled(self, id: str) -> Job:
        return await self.office.cancel(id, self.caller)


def settings_of(
    folder: Path, config: Mapping[str, Any], voices: Mapping[str, Scripted]
) -> tuple[Settings, Kinds]:
    """A config in which these voices are asked for `it`, in their order."""
    kinds = Kinds({name: kind_of(name, voice) for name, voice in voices.items()}, {}, {})
    more = dict(config)
    own = more.pop("providers", {})
    routes = [{"provider": name} for name in voices]
    whole = {
        "integrity": UNJUDGED,
        "providers": {name: {"kind": name, **own.get(name, {})} for name in voices},
        "models": {"it": {"routes": routes, **more.pop("model", {})}},
        **more,
        "server": {
            "data_dir": str(folder / "data"),
            "cache_dir": str(folder / "cache"),
            **more.get("server", {}),
        },
    }
    return parse(json.dumps(whole), kinds.providers), kinds


@asynccontextmanager
async def desk(
    folder: Path, config: Mapping[str, Any] | None = None, /, **voices: Scripted
) -> AsyncIterator[Desk]:
    """Everything of a server but its socket. At its end nobody waits for what is under way."""
    settings, kinds = settings_of(folder, config or {}, voices)
    ear, house = Ear(), House()
    found: list[Speaker] = []

    def started(speaker: Speaker) -> None:
        speaker.observers.join(ear)
        found.append(speaker)

    app = create_app(settings, kinds, started=started, house=house)
    async with app.lifespan():
        try:
            yield Desk(app.asgi_handler, found[0], ear, settings)
        finally:
            house.drain_s = 0.0
            house.close()


async def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for what nobody tells."""
    for _ in range(round(within_s / _LOOK_S)):
        if condition():
            return
        await asyncio.sleep(_LOOK_S)
    raise AssertionError("it never came so")


def store_of(url: Secret | None) -> dict[str, Any]:
    """The table of a config that names a store, and needs no keys."""
    return {} if url is None else {"accounts": {"required": False, "store": url.reveal()}}


async def in_store(url: Secret, work: Callable[[sa.Connection], Answer]) -> Answer:
    """What somebody else finds in the store, or does to it."""
    write, read = databases(url)
    try:
        return await write.run(work)
    finally:
        await write.close()
        await read.close()


async def row_of(url: Secret, id: str) -> sa.RowMapping:
    """A job as it is written down."""
    query = sa.select(jobs).where(jobs.c.id == id)
    return await in_store(url, lambda connection: connection.execute(query).mappings().one())


async def abandon(url: Secret, id: str) -> None:
    """Let the lease of a job run out, as after half a minute."""
    over = sa.update(jobs).where(jobs.c.id == id).values(lease_until_ms=0)
    await in_store(url, lambda connection: connection.execute(over))
