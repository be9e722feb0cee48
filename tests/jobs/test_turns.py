"""Whose turn it is, and that a job is in one pair of hands."""

from __future__ import annotations

import asyncio
from pathlib import Path

from router.contract.caller import Caller
from router.contract.provider import Secret
from router.jobs.archive import Archive, Claim
from router.store.opening import opened
from router.testing.script import Script, Tone, Until
from router.testing.scripted import Scripted
from tests.jobs.desk import desk, store_of, submission

MANY = 10**12


def wish(name: str) -> Claim:
    return Claim(name, 30_000, MANY)


async def test_owners_take_turns_however_many_jobs_one_of_them_has(
    store_url: Secret, tmp_path: Path
) -> None:
    go = asyncio.Event()
    voice = Scripted(Script(entering=(Until(go),), speaking=(Tone(0.1),)))
    config = {"jobs": {"at_once": 2}, **store_of(store_url)}
    async with desk(tmp_path, config, voice=voice) as at:
        rich, poor = Caller("rich"), Caller("poor")
        many = [submission(f"rich {n}") for n in range(5)]
        await at.office.submit(many, rich)
        await asyncio.wait_for(voice.until(lambda v: v.entered == 2), 10)
        [mine] = await at.office.submit([submission("poor 1")], poor)

        assert mine.position == 0  # who has two under way waits for who has none
        go.set()
        at.caller = poor
        await at.ended(mine.id)
        at.caller = rich
        await at.ended((await at.office.page(rich)).jobs[0].id)

        said = [order.text for order in voice.orders]
        assert said[:2] == ["rich 0", "rich 1"]
        assert said.index("poor 1") < 4  # two were over at once, and the older of equals goes first


async def test_ten_who_ask_at_once_take_ten_jobs(store_url: Secret, tmp_path: Path) -> None:
    config = {"jobs": {"workers": 0}, **store_of(store_url)}
    async with desk(tmp_path, config, voice=Scripted()) as at:
        jobs = await at.office.submit([submission(f"{n}") for n in range(12)], at.caller)
        async with opened(store_url) as one, opened(store_url) as other:
            archives = [Archive(store, lambda job: job) for store in (one, other)]
            took = await asyncio.gather(
                *(archives[n % 2].claim(wish(f"holder {n}")) for n in range(10))
            )
            ids = [one.job.id for one in took if one is not None]
            while len(ids) < 10:  # who met another at a row went away with none
                again = await archives[0].claim(wish(f"again {len(ids)}"))
                assert again is not None
                ids.append(again.job.id)

        assert len(set(ids)) == 10
        assert set(ids) <= {job.id for job in jobs}


async def test_a_claim_that_is_made_again_takes_nothing_more(
    store_url: Secret, tmp_path: Path
) -> None:
    config = {"jobs": {"workers": 0}, **store_of(store_url)}
    async with desk(tmp_path, config, voice=Scripted()) as at:
        await at.office.submit([submission(f"{n}") for n in range(3)], at.caller)
        async with opened(store_url) as store:
            archive = Archive(store, lambda job: job)
            first, again = [await archive.claim(wish("the same")) for _ in range(2)]

        assert first is not None
        assert again is not None
        assert first.job.id == again.job.id
