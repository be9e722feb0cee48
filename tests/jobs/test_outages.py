"""While the store is away nobody is told so who asks after a job, and nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

from router.contract.provider import Secret
from router.testing.script import Script, Tone, Until
from router.testing.scripted import Scripted
from tests.jobs.desk import book, desk, store_of
from tests.support.postgres import Postgres


async def test_polls_are_answered_and_jobs_go_on_over_a_restart_of_the_store(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    go = asyncio.Event()
    voice = Scripted(Script(entering=(Until(go),), speaking=(Tone(0.5),)))
    url = Secret(await asyncio.to_thread(postgres_server.emptied))
    async with desk(tmp_path, store_of(url), voice=voice) as at:
        job = await at.submit(book(2))
        await asyncio.wait_for(voice.until(lambda v: v.entered == 1), 10)
        await at.office.find(job.id, at.caller)

        await asyncio.to_thread(postgres_server.stop)
        try:
            go.set()
            polled = await asyncio.gather(
                *(at.office.find(job.id, at.caller) for _ in range(50)),
                _after(1.0, at.office.find(job.id, at.caller)),
            )
        finally:
            await asyncio.to_thread(postgres_server.start)

        assert {one.id for one in polled} == {job.id}
        ended = await at.ended(job.id)
        assert ended.state == "completed", ended.error
        assert voice.entered == 2  # what was spoken meanwhile was not spoken again


async def _after(seconds: float, asked):  # type: ignore[no-untyped-def]  # a poll
    await asyncio.sleep(seconds)
    return await asked
