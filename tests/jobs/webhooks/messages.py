"""Messages in an outbox, and time that passes there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import sqlalchemy as sa

from router.jobs.webhooks.notice import Letter, Notice, NoticeState, body_of
from router.jobs.webhooks.outbox import enqueue, letters
from router.store.opening import Store
from router.store.schema import outbox

ALL: tuple[NoticeState, ...] = ("waiting", "delivered", "dead")


def notice(job: str, url: str = "https://example.com/hook", owner: str = "key_1") -> Notice:
    now_ms = time.time_ns() // 1_000_000
    return Notice(
        job_id=job,
        owner=owner,
        url=url,
        kind="job.completed",
        body=body_of("job.completed", now_ms, {"id": job}),
        created_ms=now_ms,
    )


async def put(store: Store, *notices: Notice) -> None:
    """Into the outbox, as the end of a job does it."""
    await asyncio.gather(*(store.write(_put, one) for one in notices))


def _put(connection: sa.Connection, notices: Sequence[Notice]) -> list[None]:
    for one in notices:
        enqueue(connection, one)
    return [None] * len(notices)


async def found(store: Store) -> dict[str, Letter]:
    """What is in the outbox, by job."""
    every = await store.read(lambda connection: letters(connection, ALL, "", 10_000))
    return {letter.job: letter for letter in every}


async def let_pass(store: Store, seconds: float) -> None:
    """So much time goes by for all that is in the outbox."""
    await store.write(_let_pass, seconds)


def _let_pass(connection: sa.Connection, asked: Sequence[float]) -> list[None]:
    for seconds in asked:
        earlier = {name: outbox.c[name] - round(1000 * seconds) for name in ("since_ms", "next_ms")}
        connection.execute(sa.update(outbox).values(**earlier))
    return [None] * len(asked)
