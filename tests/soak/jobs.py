"""A thousand jobs, spoken by processes that are killed at random on a store that crashes: none is
lost, none ends twice, and nothing that was finished is spoken again.

On SQLite and on PostgreSQL, whose server crashes twice meanwhile; an SQLite store crashes with
those who hold it. The folder of the jobs is too small for all of them, so that they have to wait
until some have been forgotten. What each worker read, and when, is in a ledger of the provider's
own; what was finished, and when, is seen by looking at the store all the time.
"""

from __future__ import annotations

import asyncio
import io
import random
import tempfile
import time
import wave
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from router.contract.provider import Secret
from router.jobs.webhooks.signature import secret_for
from router.store.databases import Database, databases
from tests.dispatch.indices import heard_words
from tests.jobs.webhooks.receivers import receiving
from tests.soak.books import Row, stores
from tests.soak.job_crew import Crew
from tests.soak.job_door import Door
from tests.soak.job_found import PRICE, Found, Wanted, check, told
from tests.soak.reader import Fate, lines, name_of, text_of
from tests.support.scripts import UNJUDGED

JOBS = 1_000
WORKERS = 4
KILLS = 40
CRASHES = 2
KEYS = ("ann", "bob", "eve")
REFUSED = 0.02
"""Part of the texts that no provider takes."""
LEAST_WORDS, MOST_WORDS = 50, 900
BATCH = 50
DENIES = 0.2
"""Part of the webhooks that their receiver does not take."""
LOOKS_S = 0.05
PATIENCE_S = 1_800.0
INSTALLATION = "the secret of the installation that is soaked"
CREDITS = 1_000.0


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is to do, and what comes between."""

    jobs: int = JOBS
    workers: int = WORKERS
    kills: int = KILLS
    crashes: int = CRASHES
    keep_s: int = 180
    """Seconds after which the audio of a job goes."""
    max_bytes: int = 256 << 20
    lease_s: float = 30.0
    pause_s: float = 0.1
    """What a piece takes at least."""
    deadly: int = 3
    """Texts that end the process that reads them."""
    patience_s: float = PATIENCE_S


def survive(
    url: str, folder: Path, size: Size, *, crash: Callable[[], None] | None = None, seed: int = 1
) -> Found:
    """`crash` is what makes the store crash; without one those who hold it are killed together."""
    return asyncio.run(_Run(url, folder, size, crash, random.Random(seed)).run())


class _Run:
    """One run, and what is seen of it."""

    def __init__(
        self,
        url: str,
        folder: Path,
        size: Size,
        crash: Callable[[], None] | None,
        dice: random.Random,
    ) -> None:
        self._url = url
        self._folder = folder
        self._size = size
        self._crash = crash
        self._dice = dice
        self._found = Found({})
        self._door = Door(folder)
        self._fetched: set[str] = set()
        self._fetching: set[asyncio.Task[None]] = set()
        self._keys = {key: f"sk-{key}-of-the-soak-{0:08d}" for key in KEYS}

    async def run(self) -> Found:
        found, began = self._found, time.monotonic()
        async with AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(receiving(self._called))
            config = self._config()
            await self._door.open(config)
            stack.push_async_callback(self._door.close)
            reader = databases(Secret(self._url))[1]
            stack.push_async_callback(reader.close)
            crew = Crew(
                self._door.config,
                self._folder / "crew",
                self._size.workers,
                lease_s=self._size.lease_s,
                plugins=self._door.plugins,
            )
            stack.callback(crew.kill_all)
            crew.hire()
            looking = asyncio.create_task(self._look(reader))
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._hand_in(receiver.url))
                    group.create_task(self._disturb(crew))
                await self._all_told(crew)
                await asyncio.to_thread(crew.finish)
            finally:
                looking.cancel()
                await asyncio.gather(looking, *self._fetching, return_exceptions=True)
            found.deaths = crew.deaths
            found.rows, found.balances, found.reserved = await reader.run(_books)
        found.lines = lines(self._folder / "ledger")
        found.seconds = time.monotonic() - began
        return found

    def _config(self) -> dict[str, Any]:
        size = self._size
        return {
            "server": {"secret": INSTALLATION},
            "accounts": {
                "store": self._url,
                "keys": {
                    name: {"key": key, "credits": CREDITS} for name, key in self._keys.items()
                },
            },
            "integrity": UNJUDGED,
            "providers": {
                "reader": {
                    "kind": "reader",
                    "ledger": str(self._folder / "ledger"),
                    "pause_s": size.pause_s,
                }
            },
            "models": {
                "it": {
                    "routes": [{"provider": "reader"}],
                    "price": {"credits_per_1k_chars": PRICE},
                }
            },
            "timeouts": {"retry_pause_s": 0.05},
            "jobs": {
                "workers": 0,
                "dir": str(self._folder / "jobs"),
                "keep_s": size.keep_s,
                "max_bytes": size.max_bytes,
                "webhooks": {"allow_private": True, "timeout_s": 5},
            },
        }

    # ---- what is handed in

    async def _hand_in(self, receiver: str) -> None:
        """All jobs, in batches of one key each; a batch that was not taken comes again."""
        for first in range(0, self._size.jobs, BATCH):
            key = KEYS[first // BATCH % len(KEYS)]
            texts = [self._text(n) for n in range(first, min(first + BATCH, self._size.jobs))]
            items = [{"input": text_of(name, words)} for name, words in texts]
            shared = {"model": "it", "voice": "alloy", "response_format": "wav"}
            body = {**shared, "webhook_url": receiver, "items": items}
            told = await self._door.taken(self._keys[key], body, once=f"batch-{first}")
            for (name, words), item, job in zip(texts, items, told, strict=True):
                one = Wanted(job["id"], f"config:{key}", name, words, len(item["input"]))
                self._found.wanted[one.id] = one

    def _text(self, number: int) -> tuple[str, int]:
        fate: Fate = "fine"
        size = self._size
        if number in {(n + 1) * size.jobs // (size.deadly + 1) for n in range(size.deadly)}:
            fate = "deadly"
        elif number == 2 or self._dice.random() < REFUSED:
            fate = "refused"
        return name_of(fate, number), self._dice.randint(LEAST_WORDS, MOST_WORDS)

    # ---- what comes between

    async def _disturb(self, crew: Crew) -> None:
        """Kills, and crashes of the store, evenly over the ends of the jobs."""
        size, found = self._size, self._found
        kills = [round((n + 1) * size.jobs * 0.9 / (size.kills + 1)) for n in range(size.kills)]
        crashes = [round((n + 1) * size.jobs / (size.crashes + 1)) for n in range(size.crashes)]
        end = time.monotonic() + size.patience_s
        while kills or crashes:
            assert time.monotonic() < end, self._stuck(crew)
            done = len(found.states)
            if kills and done >= kills[0]:
                kills.pop(0)
                crew.kill(self._dice)
                found.kills += 1
            if crashes and done >= crashes[0]:
                crashes.pop(0)
                await self._crashed(crew)
                found.crashes += 1
            crew.hire()
            await asyncio.sleep(LOOKS_S)

    async def _crashed(self, crew: Crew) -> None:
        if self._crash is not None:
            await asyncio.to_thread(self._crash)
            return
        self._found.kills += self._size.workers
        crew.kill_all()
        await self._door.kill()
        await self._door.open(self._config())

    async def _all_told(self, crew: Crew) -> None:
        end = time.monotonic() + self._size.patience_s
        while set(self._found.told) < set(self._found.wanted) or self._fetching:
            assert time.monotonic() < end, self._stuck(crew)
            crew.hire()
            await asyncio.sleep(LOOKS_S)

    def _stuck(self, crew: Crew) -> str:
        missing = set(self._found.wanted) - set(self._found.told)
        names = [self._found.wanted[id].name for id in sorted(missing)[:10]]
        return f"{len(missing)} jobs were not told of: {names}\n{crew.errors()}"

    # ---- what is seen

    async def _called(self, request: web.Request) -> web.StreamResponse:
        """A receiver that now and then takes nothing; what it is told of it fetches at once."""
        body = await request.read()
        message = msgspec.json.decode(body)
        id = message["data"]["id"]
        if id not in self._found.wanted:  # it was quicker than the answer to who handed it in
            return web.Response(status=503)
        secret = secret_for(Secret(INSTALLATION), self._found.wanted[id].key)
        try:
            Webhook(secret.reveal()).verify(body, dict(request.headers))
        except WebhookVerificationError:
            self._found.forged += 1
        if message["type"] == "job.completed" and id not in self._fetched:
            self._fetched.add(id)
            task = asyncio.create_task(self._fetch(id))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
        if self._dice.random() < DENIES:
            return web.Response(status=500)
        name = f"{request.headers['webhook-id']} {message['type']}"
        self._found.told[id][name] += 1
        return web.Response()

    async def _fetch(self, id: str) -> None:
        """The audio, in which every word can be counted."""
        wanted = self._found.wanted[id]
        mistake = "it is not there"
        audio = await self._door.audio(self._keys[wanted.key.removeprefix("config:")], id)
        if audio is not None:
            with (
                suppress(AssertionError, wave.Error, EOFError),
                wave.open(io.BytesIO(audio)) as file,
            ):
                mistake = "words are missing, twice or cut"
                heard = heard_words(file.readframes(file.getnframes()))
                if heard == list(range(wanted.words)):
                    self._found.heard.add(id)
                    return
        self._found.wrong_audio.append(f"{wanted.name}: {mistake}")

    async def _look(self, reader: Database) -> None:
        while True:
            with suppress(sa.exc.SQLAlchemyError, OSError):
                looked = await reader.run(_looked)
                self._seen(looked, time.time_ns())
            await asyncio.sleep(LOOKS_S)

    def _seen(self, looked: _Looked, at_ns: int) -> None:
        found = self._found
        for id, state in looked.ended:
            found.states[id].add(state)
            found.ended_ns.setdefault(id, at_ns)
        for piece in looked.pieces:
            found.finished_ns.setdefault(piece, at_ns)
        found.most_bytes = max(found.most_bytes, looked.bytes)
        found.waited_for_room += looked.bytes + looked.least_needs > self._size.max_bytes


class _Looked(msgspec.Struct, frozen=True):
    ended: list[tuple[str, str]]
    pieces: list[tuple[str, int]]
    bytes: int
    least_needs: int
    """What the most modest of those that wait would take; 0: none waits."""


def _looked(connection: sa.Connection) -> _Looked:
    ended = "SELECT id, state FROM jobs WHERE state IN ('completed', 'error', 'cancelled')"
    least = "SELECT min(needs_bytes - disk_bytes) FROM jobs WHERE state = 'queued'"
    return _Looked(
        [(id, state) for id, state in connection.execute(sa.text(ended))],
        [(job, at) for job, at in connection.execute(sa.text("SELECT job, number FROM pieces"))],
        int(connection.scalar(sa.text("SELECT sum(disk_bytes) FROM jobs")) or 0),
        int(connection.scalar(sa.text(least)) or 0),
    )


def _books(connection: sa.Connection) -> tuple[list[Row], dict[str, int], int]:
    columns = "account, request, kind, amount_nano, charged_nano"
    rows = connection.execute(sa.text(f"SELECT {columns} FROM entries"))
    balances = connection.execute(sa.text("SELECT id, balance_nano FROM accounts"))
    reserved = connection.scalar(sa.text("SELECT count(*) FROM reservations"))
    return (
        [Row(*row) for row in rows],
        {row.id: row.balance_nano for row in balances},
        int(reserved or 0),
    )


def main(size: int = JOBS) -> None:
    """`size`: jobs."""
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as all_stores:
        for name, url, crash in all_stores:
            home = Path(folder) / name
            home.mkdir()
            found = survive(url, home, Size(jobs=size, kills=size * KILLS // JOBS), crash=crash)
            check(found)
            assert found.waited_for_room, "there was always room"
            print(told(name, found), flush=True)
