"""What may pass is waited for, what may not ends a job with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.contract.audio import AudioFormat
from router.contract.errors import Broken, Busy, NotReady, Refused
from router.contract.provider import Secret
from router.contract.speech import SpeechOrder, Voice
from router.jobs import run
from router.jobs.archive import Archive, Claim
from router.store.opening import opened
from router.testing.script import Raise, Script, Tone, in_turn
from router.testing.scripted import Scripted
from tests.dispatch.stage import able
from tests.jobs.desk import abandon, book, desk, row_of, store_of
from tests.support.scripts import NO_REST

QUICK = {"outlook": NO_REST, "timeouts": {"retry_pause_s": 0}}
PLAIN = Script(speaking=(Tone(0.5),))


def failing(error: Exception) -> Script:
    return Script(entering=(Raise(error),))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_RETRY_S", (0.01,))
    monkeypatch.setattr(run, "_BUSY_S", (0.01, 0.02))


async def test_a_busy_provider_is_waited_for_and_is_no_failure(tmp_path: Path) -> None:
    busy = [failing(Busy("full", retry_after=0.01)), failing(NotReady("loading"))] * 5
    voice = Scripted(in_turn(*busy, PLAIN))
    async with desk(tmp_path, {"jobs": {"attempts": 1}, **QUICK}, voice=voice) as at:
        job = await at.ended((await at.submit()).id)

        assert job.state == "completed", job.error
        assert voice.entered > 10


async def test_a_request_at_fault_ends_its_job_at_once(tmp_path: Path) -> None:
    voice = Scripted(failing(Refused("It does not like that.")))
    async with desk(tmp_path, QUICK, voice=voice) as at:
        job = await at.ended((await at.submit()).id)

        assert job.state == "error"
        assert job.error is not None
        assert (job.error.reason, job.error.status) == ("invalid_request", 400)
        assert "does not like" in job.error.message
        assert voice.entered == 1
        assert at.files == []


async def test_what_fails_again_and_again_ends_as_an_error_with_its_reason(tmp_path: Path) -> None:
    voice = Scripted(failing(Broken("500")))
    async with desk(tmp_path, {"jobs": {"attempts": 3}, **QUICK}, voice=voice) as at:
        job = await at.ended((await at.submit()).id)

        assert job.error is not None
        assert (job.error.reason, job.error.status) == ("nobody_spoke", 502)
        assert voice.entered == 3


async def test_a_failure_costs_only_the_piece_in_which_it_happens(tmp_path: Path) -> None:
    """Attempts count from the last piece that was spoken: a long job may meet many failures."""
    bad = failing(Broken("500"))
    voice = Scripted(in_turn(*[PLAIN, bad, bad] * 4, PLAIN))
    async with desk(tmp_path, {"jobs": {"attempts": 3}, **QUICK}, voice=voice) as at:
        job = await at.ended((await at.submit(book(5))).id)

        assert job.state == "completed", job.error
        heard = [record.outcome for record in at.ear.records]
        assert heard.count("spoken") == 5
        assert heard.count("failed") == 8


async def test_a_job_that_kills_whoever_takes_it_up_ends_as_an_error(
    store_url: Secret, tmp_path: Path
) -> None:
    config = {**store_of(store_url), **QUICK}
    async with desk(tmp_path, {"jobs": {"workers": 0}, **config}, voice=Scripted()) as at:
        job = await at.submit()
    async with opened(store_url) as store:
        for turn in (1, 2):
            claimed = await Archive(store, str).claim(Claim(f"dies {turn}", 30_000, 10**12))
            assert claimed is not None
            assert claimed.attempts == turn
            await abandon(store_url, job.id)

    async with desk(tmp_path, {"jobs": {"attempts": 2}, **config}, voice=Scripted()) as at:
        ended = await at.ended(job.id)

        assert ended.state == "error"
        assert ended.error is not None
        assert ended.error.reason == "attempts"
        assert (await row_of(store_url, job.id))["order"] is None


async def test_the_voice_that_began_goes_on(tmp_path: Path) -> None:
    """The first provider is back after one piece; the second, who began, is not left for it."""
    first = Scripted(in_turn(failing(Broken("500")), PLAIN))
    second = Scripted(PLAIN)
    async with desk(tmp_path, QUICK, first=first, second=second) as at:
        job = await at.ended((await at.submit(book(4))).id)

        assert job.state == "completed", job.error
        assert (first.accepted, second.accepted) == (0, 4)
        assert job.provider == "second"


def cast(gender: str) -> dict[str, object]:
    voices = (Voice(id="alloy", languages=("en",), gender=gender),)  # type: ignore[arg-type]  # a word of it
    return {"offers": able(), "voices": voices}


@pytest.mark.parametrize("may_change", [True, False])
async def test_another_goes_on_as_far_as_the_voice_may_change(
    may_change: bool, tmp_path: Path
) -> None:
    first = Scripted(in_turn(PLAIN, failing(Broken("500"))), **cast("female"))  # type: ignore[arg-type]  # as above
    second = Scripted(PLAIN, **cast("male"))  # type: ignore[arg-type]  # as above
    rule = "any" if may_change else "same-voice"
    config = {"model": {"voice_change": rule}, "jobs": {"attempts": 2}, **QUICK}
    async with desk(tmp_path, config, first=first, second=second) as at:
        job = await at.ended((await at.submit(book(3))).id)

        if may_change:
            assert job.state == "completed", job.error
            assert (first.accepted, second.accepted) == (1, 2)
        else:
            assert job.state == "error"
            assert second.entered == 0


async def test_every_piece_is_spoken_in_the_language_of_the_whole(tmp_path: Path) -> None:
    voice = Scripted(PLAIN)
    german = "Das ist ein deutscher Satz, wie er im Buche steht, und er ist lang genug. " * 25
    async with desk(tmp_path, voice=voice) as at:
        await at.ended((await at.submit(german + "This is the end. " * 90)).id)

        assert {order.language for order in voice.orders} == {"de"}


async def test_a_long_text_may_be_longer_than_the_model_takes_from_a_listener(
    tmp_path: Path,
) -> None:
    orders: list[SpeechOrder] = []

    def play(order: SpeechOrder) -> Script:
        orders.append(order)
        return Script(speaking=(Tone(0.1),))

    voice = Scripted(play, offers=able(max_chars=400, formats=(AudioFormat("pcm", 24_000, 1),)))
    async with desk(tmp_path, {"model": {"max_input": 300}}, voice=voice) as at:
        job = await at.ended((await at.submit(book(2))).id)

        assert job.state == "completed", job.error
        assert max(len(order.text) for order in orders) <= 400
        assert {order.priority for order in orders} == {"batch"}
        assert "".join(order.text for order in orders).replace(" ", "") == book(2).replace(" ", "")
