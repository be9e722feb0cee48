"""Delivers what is in the outbox, as long as it runs: a bounded number at once, and few of them to
one receiver, so that a slow one holds up nobody else."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver

from router.contract.errors import Overloaded
from router.contract.provider import Secret
from router.contract.record import Event, WebhookTried
from router.jobs.webhooks.delivery import Outcome, Post, delivered
from router.jobs.webhooks.dialing import Allows, dialing
from router.jobs.webhooks.outbox import (
    FORGOTTEN,
    Claim,
    End,
    Taken,
    claim,
    finish,
    forget,
    is_due,
)
from router.jobs.webhooks.signature import key_of, secret_for, signed
from router.jobs.webhooks.targets import is_any, is_public
from router.settings.jobs import Webhooks
from router.store.opening import Store

AT_ONCE = 32
"""Messages under way in one process."""
OF_HOST = 4
"""Of them to one receiver."""
LOOK_S = 1.0
"""How often the outbox is looked at where nobody wakes us: other processes fill it too."""
MARGIN_S = 15.0
"""How much longer a message is held than its try may take."""
FORGET_S = 600.0
CLOSE_S = 5.0
"""For tries under way when we are told to end; the others are taken up after their lease."""

_log = structlog.get_logger(__name__)


class Sender:
    """Use `sending`."""

    def __init__(
        self,
        store: Store,
        session: aiohttp.ClientSession,
        installation: Secret,
        settings: Webhooks,
        publish: Callable[[Event], None],
    ) -> None:
        self._store = store
        self._session = session
        self._installation = installation
        self._one_key = key_of(settings.secret) if settings.secret else None
        self._settings = settings
        self._publish = publish
        self._wake = asyncio.Event()
        self._tries: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()

    def wake(self) -> None:
        """Look at the outbox now."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; the store may come and go."""
        while True:
            self._wake.clear()
            taken: list[Taken] = []
            try:
                taken = await self._taken()
            except Overloaded:
                _log.warning("the outbox of webhooks cannot be read")
            except Exception:  # whatever it was: the next look may be luckier
                _log.exception("the outbox of webhooks cannot be read")
            for one in taken:
                self._begin(one)
            if not taken:
                await self._rest()

    async def tidy(self) -> None:
        """Forget what ended long ago, again and again, until cancelled."""
        while True:
            try:
                while await self._store.write(forget, None) == FORGOTTEN:
                    pass  # the others have a turn between
            except Overloaded:
                _log.warning("the outbox of webhooks cannot be looked after")
            except Exception:  # as above
                _log.exception("the outbox of webhooks cannot be looked after")
            await asyncio.sleep(FORGET_S)

    async def close(self) -> None:
        """Tries under way get a moment more."""
        if self._tries:
            await asyncio.wait(self._tries, timeout=CLOSE_S)
        for task in self._tries:
            task.cancel()
        await asyncio.gather(*self._tries, return_exceptions=True)

    async def _taken(self) -> list[Taken]:
        room = AT_ONCE - len(self._tries)
        if not room or not await self._store.read(is_due):
            return []
        wanted = Claim(
            holder=os.urandom(16).hex(),
            lease_ms=round(1000 * (self._settings.timeout_s + MARGIN_S)),
            most=room,
            of_host=OF_HOST,
            busy=dict(self._busy),
        )
        return await self._store.write(claim, wanted)

    async def _rest(self) -> None:
        """Until something may have changed: a message, a place, or time."""
        try:
            async with asyncio.timeout(LOOK_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _begin(self, taken: Taken) -> None:
        self._busy[taken.host] += 1
        task = asyncio.create_task(self._try(taken), name="webhook")
        self._tries.add(task)
        task.add_done_callback(partial(self._tried, taken.host))

    def _tried(self, host: str, task: asyncio.Task[None]) -> None:
        self._tries.discard(task)
        self._busy -= Counter({host: 1})  # what is at zero is forgotten
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a webhook failed unexpectedly", error=type(error).__name__)

    async def _try(self, taken: Taken) -> None:
        key = self._one_key or key_of(secret_for(self._installation, taken.owner))
        post = Post(
            url=taken.url,
            headers=signed(key, taken.id, int(time.time()), taken.body),
            body=taken.body,
        )
        outcome = await delivered(
            self._session,
            post,
            timeout_s=self._settings.timeout_s,
            allow_private=self._settings.allow_private,
        )
        await self._ended(taken, outcome)

    async def _ended(self, taken: Taken, outcome: Outcome) -> None:
        end = End(taken, outcome, round(1000 * self._settings.for_s))
        try:
            then = await self._store.write(finish, end, must=True)
        except Overloaded:  # it is written as soon as it can be, or tried again after its lease
            return
        if then is None:
            return
        dead = then.state == "dead"
        if dead:
            _log.warning(
                "a webhook is given up: see tts-router jobs webhooks list",
                webhook=taken.id,
                job=taken.job,
                host=taken.host,
                attempts=taken.attempts,
                error=outcome.word,
            )
        self._publish(WebhookTried(outcome.ok, taken.attempts, dead))


@asynccontextmanager
async def sending(
    store: Store,
    installation: Secret,
    settings: Webhooks,
    publish: Callable[[Event], None],
    *,
    allows: Allows | None = None,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[Sender]:
    """A sender at work while the block lasts. `allows` is by what addresses are checked, the
    settings say, and `resolver` the machine's own, if not given.

    Raises:
        ValueError: `settings.secret` is none.
    """
    checks = allows or (is_any if settings.allow_private else is_public)
    async with dialing(checks, resolver) as session:
        sender = Sender(store, session, installation, settings, publish)
        tasks = [
            asyncio.create_task(sender.run(), name="webhooks"),
            asyncio.create_task(sender.tidy(), name="webhooks tidy"),
        ]
        try:
            yield sender
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await sender.close()
