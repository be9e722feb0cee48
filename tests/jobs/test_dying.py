"""Whoever speaks a job may die or be told to go: another goes on where it was."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from router.contract.provider import Secret
from router.testing.script import Script, Tone, Until, in_turn
from router.testing.scripted import Scripted
from tests.jobs.desk import abandon, book, desk, eventually, row_of, store_of
from tests.jobs.workers import WorkerProcess, working
from tests.support.scripts import UNJUDGED, models, scripted

PIECES = 8


def config_of(folder: Path) -> dict[str, Any]:
    """That of a worker beside the desk of the test."""
    return {
        "server": {"data_dir": str(folder / "data"), "cache_dir": str(folder / "cache")},
        "integrity": UNJUDGED,
        "providers": {"voice": scripted(seconds=1.0, pace=0.4)},
        "models": models({"it": ("voice",)}),
        "jobs": {"at_once": 1},
    }


async def test_a_job_goes_on_at_the_first_piece_that_a_killed_process_has_not_spoken(
    tmp_path: Path,
) -> None:
    store = Secret(f"sqlite:///{tmp_path / 'data' / 'store.db'}")
    config = config_of(tmp_path)
    async with desk(tmp_path, {"jobs": {"workers": 0}}, voice=Scripted()) as at:
        job = await at.submit(book(PIECES))
        with ExitStack() as stack:
            one = await _hired(stack, config, tmp_path / "one")
            await at.until(job.id, lambda job: job.pieces_done >= 2)
            await asyncio.to_thread(one.kill)
            done = (await row_of(store, job.id))["pieces_done"]
            assert 2 <= done < PIECES
            await abandon(store, job.id)

            other = await _hired(stack, config, tmp_path / "other")
            ended = await at.ended(job.id)
            assert await asyncio.to_thread(other.terminate) == 0

        assert ended.state == "completed", ended.error
        assert other.spoken() == list(range(done, PIECES))
        assert one.spoken()[:done] == list(range(done))
        assert ended.audio is not None
        assert abs(ended.audio.seconds - (PIECES + 0.2 * (PIECES - 1))) < 0.1


async def test_a_worker_that_is_told_to_go_ends_its_piece_and_begins_no_other(
    tmp_path: Path,
) -> None:
    store = Secret(f"sqlite:///{tmp_path / 'data' / 'store.db'}")
    go = asyncio.Event()
    voice = Scripted(Script(speaking=(Tone(0.5), Until(go), Tone(0.5))))
    async with desk(tmp_path, voice=voice) as at:
        job = await at.submit(book(3))
        await asyncio.wait_for(voice.until(lambda v: v.accepted == 1), 10)

        at.house.close()
        go.set()
        await at.until(job.id, lambda job: job.pieces_done == 1 and job.state == "queued")

        row = await row_of(store, job.id)
        assert (row["holder"], row["attempts"]) == (None, 0)
        assert voice.entered == 1


async def test_a_piece_that_takes_too_long_for_that_is_let_go_and_spoken_by_the_next(
    store_url: Secret, tmp_path: Path
) -> None:
    never = asyncio.Event()
    hangs = Scripted(
        in_turn(Script(speaking=(Tone(0.5),)), Script(speaking=(Tone(0.5), Until(never))))
    )
    async with desk(tmp_path, store_of(store_url), voice=hangs) as at:
        job = await at.submit(book(3))
        await asyncio.wait_for(hangs.until(lambda v: v.accepted == 2), 10)
    assert hangs.open == 0
    row = await row_of(store_url, job.id)
    assert (row["state"], row["holder"], row["attempts"]) == ("queued", None, 0)
    assert row["pieces_done"] == 1

    voice = Scripted(Script(speaking=(Tone(0.5),)))
    async with desk(tmp_path, store_of(store_url), voice=voice) as at:
        ended = await at.ended(job.id)

        assert ended.state == "completed", ended.error
        assert voice.entered == 2


async def test_a_piece_whose_file_is_gone_is_spoken_again(tmp_path: Path) -> None:
    go = asyncio.Event()
    sounds = Script(speaking=(Tone(0.5),))
    voice = Scripted(in_turn(sounds, Script(entering=(Until(go),), speaking=(Tone(0.5),))))
    async with desk(tmp_path, voice=voice) as at:
        job = await at.submit(book(2))
        await at.until(job.id, lambda job: job.pieces_done == 1)
    [piece] = list(at.folder.rglob("*.flac"))
    piece.write_bytes(piece.read_bytes()[:-1])  # as a disk that lies about what it has written

    again = Scripted(sounds)
    async with desk(tmp_path, voice=again) as at:
        ended = await at.ended(job.id)

        assert ended.state == "completed", ended.error
        assert again.entered == 2
        await eventually(lambda: at.files == ["audio.wav"])


async def _hired(stack: ExitStack, config: dict[str, Any], folder: Path) -> WorkerProcess:
    return await asyncio.to_thread(stack.enter_context, working(config, folder))
