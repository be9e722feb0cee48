"""What is kept is whole, bounded, and gone in time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from router.contract.audio import AudioFormat, Clip
from router.contract.errors import InputTooLong, Overloaded
from router.contract.provider import Secret
from router.jobs import upkeep
from router.jobs.files import Files
from router.jobs.job import NoSuchJob
from router.store.schema import jobs, pieces
from router.testing.script import Script, Tone, Until
from router.testing.scripted import Scripted
from tests.dispatch.stage import CLIP, able
from tests.jobs.desk import book, desk, eventually, in_store, row_of, store_of

MIB = 2**20
SECRET = "what nobody else shall ever read"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "FORGET_S", 0.1)


async def test_text_and_clip_are_erased_with_the_end(store_url: Secret, tmp_path: Path) -> None:
    marked = Clip(CLIP.data + b"a mark that only this sample has", "wav")
    voice = Scripted(offers=able(cloning=True))
    async with desk(tmp_path, store_of(store_url), voice=voice) as at:
        go = asyncio.Event()
        voice.play = Script(entering=(Until(go),), speaking=(Tone(1.0),))
        job = await at.submit(f"This is {SECRET}.", clip=marked)
        before = (await row_of(store_url, job.id))["order"]
        assert SECRET.encode() in before
        assert b"only this sample" in before

        go.set()
        assert (await at.ended(job.id)).state == "completed"

        row = await row_of(store_url, job.id)
        assert (row["order"], row["held"]) == (None, None)
        assert SECRET not in repr(dict(row))
        assert await in_store(store_url, lambda c: c.scalars(sa.select(pieces.c.job)).all()) == []


async def test_not_a_byte_of_the_text_stays_in_the_file_of_the_store(tmp_path: Path) -> None:
    async with desk(tmp_path, voice=Scripted()) as at:
        await at.ended((await at.submit(f"This is {SECRET}. " * 500)).id)

    left = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert any(path.name == "store.db" for path in left)
    assert not [path for path in left if SECRET.encode() in path.read_bytes()]


async def test_a_job_and_its_audio_are_forgotten_in_time(store_url: Secret, tmp_path: Path) -> None:
    async with desk(tmp_path, store_of(store_url), voice=Scripted()) as at:
        job = await at.ended((await at.submit(expires_in_s=1)).id)
        stays = await at.ended((await at.submit(expires_in_s=600)).id)
        assert job.audio is not None
        assert job.ended_ms is not None
        assert job.until_ms == job.audio.until_ms == job.ended_ms + 1_000

        await eventually(lambda: len(at.files) == 1)

        assert await _ids(store_url) == [stays.id]
        with pytest.raises(NoSuchJob):
            await at.office.audio(job.audio.token)
        assert await at.office.find(stays.id, at.caller) == stays


async def test_a_file_that_is_not_whole_has_no_name(tmp_path: Path) -> None:
    files = Files(tmp_path)
    path = files.audio("run_0123456789012345678901", "mp3")

    def broken_off() -> None:
        with files.writing(path) as file:
            file.write(b"half of it")
            assert not path.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert list(path.parent.iterdir()) == []

    with files.writing(path) as file:
        file.write(b"all of it")
    assert path.read_bytes() == b"all of it"


async def test_audio_cannot_be_fetched_before_the_job_has_ended(tmp_path: Path) -> None:
    never = asyncio.Event()
    voice = Scripted(Script(speaking=(Tone(1.0), Until(never))))
    async with desk(tmp_path, voice=voice) as at:
        job = await at.submit()
        await asyncio.wait_for(voice.until(lambda v: v.accepted == 1), 10)

        now = await at.until(job.id, lambda job: job.state == "running")

        assert now.audio is None


async def test_what_could_never_fit_is_refused(tmp_path: Path) -> None:
    config = {"jobs": {"max_bytes": 4 * MIB, "workers": 0}}
    async with desk(tmp_path, config, voice=Scripted()) as at:
        with pytest.raises(InputTooLong, match="GiB"):
            await at.submit(book(10))

        assert (await at.submit(book(1))).state == "queued"


async def test_jobs_wait_until_there_is_room_and_new_ones_are_sent_away(
    store_url: Secret, tmp_path: Path
) -> None:
    config: dict[str, Any] = {"jobs": {"max_bytes": 12 * MIB}, **store_of(store_url)}
    plain = AudioFormat("pcm", 48_000, 2)
    voice = Scripted(Script(speaking=(Tone(60.0),)), offers=able(formats=(plain,)))
    async with desk(tmp_path, config, voice=voice) as at:
        first = await at.ended((await at.submit(format=plain, expires_in_s=3)).id)
        assert first.audio is not None
        assert first.audio.bytes > 11_000_000
        second = await at.submit(book(1) * 20)  # there is a little room left, not enough for it
        await asyncio.sleep(0.3)
        assert (await at.office.find(second.id, at.caller)).state == "queued"
        assert voice.entered == 1
        full = sa.update(jobs).where(jobs.c.id == first.id).values(disk_bytes=12 * MIB)
        await in_store(store_url, lambda connection: connection.execute(full))
        with pytest.raises(Overloaded, match="room") as refused:
            await at.submit()
        assert refused.value.retry_after

        assert (await at.ended(second.id)).state == "completed"  # once the first is forgotten


async def test_the_queue_has_an_end_for_each_and_for_all(tmp_path: Path) -> None:
    config = {"jobs": {"workers": 0, "queue_most": 3, "queue_most_key": 2}}
    async with desk(tmp_path, config, voice=Scripted()) as at:
        for _ in range(2):
            await at.submit()
        with pytest.raises(Overloaded, match="You may have 2 jobs"):
            await at.submit()

        at.caller = type(at.caller)("another")
        await at.submit()
        with pytest.raises(Overloaded, match="Too many"):
            await at.submit()


async def test_folders_that_nobody_knows_are_swept_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from router.jobs import files  # noqa: PLC0415

    monkeypatch.setattr(files, "_ABANDONED_S", 0.0)
    lost = Files(tmp_path / "data" / "jobs").audio("run_ghost678901234567890_-", "mp3")
    lost.parent.mkdir(parents=True)
    lost.write_bytes(b"nobody's")
    other = lost.parent.parent / "somebody-elses-folder"
    other.mkdir()
    async with desk(tmp_path, {"jobs": {"workers": 0}}, voice=Scripted()) as at:
        await at.submit()
        await eventually(lambda: not lost.parent.exists())
        assert other.exists()


async def _ids(store: Secret) -> list[str]:
    query = sa.select(jobs.c.id)
    return await in_store(store, lambda connection: list(connection.scalars(query)))
