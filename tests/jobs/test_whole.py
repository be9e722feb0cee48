"""A job from its submission to its file, as its owner sees it."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any, get_args

import pytest

from router.contract.audio import AudioFormat, Encoding, container_of
from router.contract.caller import Caller
from router.contract.errors import InputTooLong, InvalidRequest, UnknownModel
from router.contract.provider import Secret
from router.contract.record import JobChanged
from router.jobs.job import NoSuchJob
from router.testing.script import Script, Tone, Until, in_turn
from router.testing.scripted import Scripted
from tests.jobs.desk import CALLER, book, desk, store_of, submission

TWO_S = Script(speaking=(Tone(2.0),))


async def test_a_job_is_spoken_in_pieces_and_bound_into_one_file(
    store_url: Secret, tmp_path: Path
) -> None:
    voice = Scripted(TWO_S)
    async with desk(tmp_path, store_of(store_url), voice=voice) as at:
        job = await at.submit(book(3), metadata={"chapter": "one"})
        assert (job.state, job.pieces, job.position) == ("queued", 3, 0)

        ended = await at.ended(job.id)

        assert ended.state == "completed", ended.error
        assert ended.audio is not None
        assert ended.characters_done == ended.characters == len(book(3))
        assert ended.metadata == {"chapter": "one"}
        path, audio = await at.office.audio(ended.audio.token)
        assert (audio, path.stat().st_size) == (ended.audio, ended.audio.bytes)
        with wave.open(str(path)) as file:
            seconds = file.getnframes() / file.getframerate()
        assert abs(seconds - (3 * 2.0 + 2 * 0.2)) < 0.01
        assert abs(audio.seconds - seconds) < 0.01
        assert [order.priority for order in voice.orders] == ["batch"] * 3
        assert "".join(order.text for order in voice.orders) == book(3)
        assert at.files == ["audio.wav"]
        states = [event.state for event in at.ear.events if isinstance(event, JobChanged)]
        assert states == ["queued", "completed"]


@pytest.mark.parametrize("encoding", get_args(Encoding))
async def test_it_is_coded_as_its_owner_wants_it(encoding: Encoding, tmp_path: Path) -> None:
    async with desk(tmp_path, voice=Scripted(TWO_S)) as at:
        job = await at.submit(book(2), format=AudioFormat(encoding))

        ended = await at.ended(job.id)

        assert ended.audio is not None, ended.error
        path, audio = await at.office.audio(ended.audio.token)
        head = path.read_bytes()[:12]
        expected = {"opus": "ogg", "pcm": None}.get(encoding, encoding)
        assert encoding == "pcm" or container_of(head) == expected
        assert abs(audio.seconds - 4.2) < 0.1
        assert ended.format.sample_rate == 24_000
        assert audio.name == f"{job.id}.{encoding}"


async def test_the_pieces_are_kept_without_loss(tmp_path: Path) -> None:
    plain = Scripted(TWO_S)
    async with desk(tmp_path, voice=plain) as at:
        job = await at.submit(format=AudioFormat("pcm", 24_000, 1))
        ended = await at.ended(job.id)
        assert ended.audio is not None
        path, _ = await at.office.audio(ended.audio.token)

        from router.testing.tone import tone  # noqa: PLC0415

        sound = b"".join(c for _, c in tone(2.0, AudioFormat("pcm", 24_000, 1), 1.0))
        assert path.read_bytes() == sound


async def test_a_text_with_nothing_to_say_is_silence(tmp_path: Path) -> None:
    voice = Scripted()
    async with desk(tmp_path, voice=voice) as at:
        job = await at.submit("… !")

        ended = await at.ended(job.id)

        assert ended.audio is not None
        assert ended.audio.seconds == pytest.approx(0.3)
        assert not voice.entered


async def test_a_job_is_its_owners_alone(tmp_path: Path) -> None:
    async with desk(tmp_path, voice=Scripted()) as at:
        job = await at.submit()
        other = Caller("somebody else")

        with pytest.raises(NoSuchJob):
            await at.office.find(job.id, other)
        with pytest.raises(NoSuchJob):
            await at.office.cancel(job.id, other)
        with pytest.raises(NoSuchJob):
            async with at.office.watching(job.id, other):
                pass
        assert (await at.office.page(other)).jobs == []
        with pytest.raises(NoSuchJob):
            await at.office.audio("no such token")


async def test_polls_hear_the_same_again_and_again(tmp_path: Path) -> None:
    async with desk(tmp_path, voice=Scripted()) as at:
        job = await at.ended((await at.submit()).id)

        again = await asyncio.gather(*(at.office.find(job.id, CALLER) for _ in range(200)))

        assert set(map(repr, again)) == {repr(job)}


async def test_a_batch_comes_in_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    async with desk(tmp_path, {"jobs": {"workers": 0}}, voice=Scripted()) as at:
        good, bad = submission("one"), submission("two", model="nobody")
        with pytest.raises(UnknownModel, match="Item 1: "):
            await at.office.submit([good, bad], CALLER)
        assert (await at.office.page(CALLER)).jobs == []

        jobs = await at.office.submit([submission(f"Item {n}.") for n in range(1_000)], CALLER)

        assert [job.item for job in jobs] == list(range(1_000))
        assert len({job.id for job in jobs}) == 1_000
        assert {job.batch for job in jobs} == {jobs[0].batch}
        assert [job.position for job in jobs][:3] == [0, 1, 2]


async def test_pages_lead_through_all_jobs(tmp_path: Path) -> None:
    async with desk(tmp_path, {"jobs": {"workers": 0}}, voice=Scripted()) as at:
        alone = await at.submit()
        jobs = await at.office.submit([submission(f"Item {n}.") for n in range(25)], CALLER)

        seen, after = list[str](), None
        while True:
            page = await at.office.page(CALLER, after=after, most=10)
            seen += [job.id for job in page.jobs]
            if (after := page.after) is None:
                break
        assert seen == [job.id for job in [*reversed(jobs), alone]]

        first = await at.office.page(CALLER, batch=jobs[0].batch, most=20)
        rest = await at.office.page(CALLER, batch=jobs[0].batch, most=20, after=first.after)
        assert [job.item for job in first.jobs + rest.jobs] == list(range(25))
        with pytest.raises(InvalidRequest):
            await at.office.page(CALLER, after="nonsense!")


async def test_who_watches_sees_it_get_on(tmp_path: Path) -> None:
    go = asyncio.Event()
    voice = Scripted(in_turn(TWO_S, Script(entering=(Until(go),), speaking=(Tone(1.0),)), TWO_S))
    async with desk(tmp_path, voice=voice) as at:
        job = await at.submit(book(3))
        seen = []
        async with at.office.watching(job.id, CALLER) as changes:
            async for now in changes:
                seen.append(now)
                if now.pieces_done == 1:
                    go.set()

        assert seen[-1].state == "completed"
        half = next(now for now in seen if now.pieces_done == 1)
        assert half.state == "running"
        assert half.provider == "voice"
        assert half.audio_s == pytest.approx(2.0)
        assert half.estimate_s is not None


async def test_an_idempotency_key_brings_the_same_jobs_again(tmp_path: Path) -> None:
    async with desk(tmp_path, {"jobs": {"workers": 0}}, voice=Scripted()) as at:
        both = [submission("one"), submission("two")]
        first = await at.office.submit(both, CALLER, once=("key", b"contents"))
        again = await at.office.submit(both, CALLER, once=("key", b"contents"))
        other = await at.office.submit(both, CALLER, once=("another", b"contents"))

        assert [job.id for job in again] == [job.id for job in first]
        assert {job.id for job in other}.isdisjoint(job.id for job in first)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"text": ""}, InvalidRequest),
        ({"text": "x" * 201}, InputTooLong),
        ({"metadata": {"x": "y" * 9_000}}, InvalidRequest),
        ({"webhook_url": "http://127.0.0.1/"}, InvalidRequest),
    ],
)
async def test_what_cannot_be_a_job_is_refused(
    more: dict[str, Any], error: type[Exception], tmp_path: Path
) -> None:
    async with desk(tmp_path, {"jobs": {"longest_chars": 200}}, voice=Scripted()) as at:
        with pytest.raises(error):
            await at.submit(**more)
