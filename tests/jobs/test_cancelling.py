"""Who cancels a job stops whoever speaks it, wherever that is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from router.contract.provider import Secret
from router.contract.record import JobChanged
from router.testing.script import Script, Tone, Until
from router.testing.scripted import Scripted
from tests.jobs.desk import book, desk, row_of, store_of


def waiting() -> Scripted:
    """A voice that makes its first piece, and then hangs in mid-speech."""
    never = asyncio.Event()
    return Scripted(Script(speaking=(Tone(0.5), Until(never), Tone(0.5))))


async def test_a_job_that_waits_is_cancelled_at_once(store_url: Secret, tmp_path: Path) -> None:
    config = {"jobs": {"workers": 0}, **store_of(store_url)}
    async with desk(tmp_path, config, voice=Scripted()) as at:
        job = await at.submit()

        cancelled = await at.cancelled(job.id)

        assert cancelled.state == "cancelled"
        assert cancelled.audio is None
        assert (await row_of(store_url, job.id))["order"] is None
        assert await at.cancelled(job.id) == cancelled
        states = [event.state for event in at.ear.events if isinstance(event, JobChanged)]
        assert states == ["queued", "cancelled"]


async def test_a_job_that_is_spoken_here_lets_go_of_its_provider(tmp_path: Path) -> None:
    voice = waiting()
    async with desk(tmp_path, voice=voice) as at:
        job = await at.submit(book(2))
        await asyncio.wait_for(voice.until(lambda v: v.accepted == 1), 10)

        cancelled = await at.cancelled(job.id)

        assert cancelled.state == "cancelled"
        assert voice.open == 0
        assert at.files == []


async def test_a_job_that_another_process_speaks_is_stopped_there(
    store_url: Secret, tmp_path: Path
) -> None:
    voice, shared = waiting(), store_of(store_url)
    async with (
        desk(tmp_path, {"jobs": {"workers": 0}, **shared}, voice=Scripted()) as office,
        desk(tmp_path, shared, voice=voice) as worker,
    ):
        await worker.office.page(worker.caller)  # it is open now
        job = await office.submit(book(2))
        await asyncio.wait_for(voice.until(lambda v: v.accepted == 1), 10)

        cancelled = await office.cancelled(job.id)

        assert cancelled.state == "cancelled"
        assert voice.open == 0


async def test_a_job_that_has_ended_stays_as_it_is(tmp_path: Path) -> None:
    async with desk(tmp_path, voice=Scripted()) as at:
        job = await at.ended((await at.submit()).id)

        assert await at.cancelled(job.id) == job
        assert job.audio is not None
        assert (await at.office.audio(job.audio.token))[0].exists()
