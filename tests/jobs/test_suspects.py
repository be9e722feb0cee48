"""A job that ends whoever speaks it does not drag others along."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from router.contract.provider import Secret
from router.jobs.archive import Archive, Claim
from router.store.opening import opened
from router.store.schema import jobs
from router.testing.script import Pause, Script, Tone
from router.testing.scripted import Scripted
from tests.jobs.desk import abandon, desk, in_store, store_of, submission

MANY = 10**12


async def left_by_the_dead(url: Secret) -> None:
    """Whoever had taken the jobs up has died."""
    values = {"state": "running", "holder": "the dead", "attempts": 1, "lease_until_ms": 0}
    await in_store(url, lambda connection: connection.execute(sa.update(jobs).values(values)))


async def test_who_has_others_under_way_does_not_take_up_what_others_died_of(
    store_url: Secret, tmp_path: Path
) -> None:
    config = {"jobs": {"workers": 0}, **store_of(store_url)}
    async with desk(tmp_path, config, voice=Scripted()) as at, opened(store_url) as store:
        [deadly, _] = await at.office.submit([submission("1"), submission("2")], at.caller)
        archive = Archive(store, lambda job: job)
        taken = await archive.claim(Claim("who dies", 30_000, MANY))
        assert taken is not None
        assert taken.job.id == deadly.id
        await abandon(store_url, deadly.id)

        assert await archive.claim(Claim("busy", 30_000, MANY, with_orphans=False)) is None
        again = await archive.claim(Claim("free", 30_000, MANY))
        assert again is not None
        assert again.job.id == deadly.id


async def test_jobs_that_the_dead_have_left_are_begun_one_by_one(
    store_url: Secret, tmp_path: Path
) -> None:
    voice = Scripted(Script(entering=(Pause(0.2),), speaking=(Tone(0.1),)))
    config = {"jobs": {"workers": 0}, **store_of(store_url)}
    async with desk(tmp_path, config, voice=voice) as at:
        texts = [submission("one"), submission("two"), submission("three")]
        handed_in = await at.office.submit(texts, at.caller)
    await left_by_the_dead(store_url)
    config = {"jobs": {"at_once": 3}, **store_of(store_url)}
    async with desk(tmp_path, config, voice=voice) as at:
        states = [(await at.ended(job.id)).state for job in handed_in]

    assert states == ["completed"] * 3
    assert voice.most_open == 1
