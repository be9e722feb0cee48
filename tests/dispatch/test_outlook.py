"""Providers that fail are left alone, and found again; hang-ups and our own limits tell nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from router.contract.errors import (
    BadKey,
    Broken,
    Busy,
    NoCredit,
    NotReady,
    Overloaded,
    ProviderError,
    Refused,
    SpeechError,
    Unreachable,
)
from router.contract.record import BreakerChanged
from router.testing.scripted import Hang, Raise, Script, Scripted, Tone, in_turn
from tests.dispatch.stage import Stage, asking, failing, opened, stage

KEY = ("one", "tone-1")
QUICK: dict[str, Any] = {
    "outlook": {"least": 3, "cool_s": 0.2},
    "timeouts": {"retry_pause_s": 0.01},
}


async def ask(on: Stage, times: int = 1) -> list[str]:
    """What came of each request: the trail of its speech, or the word of its error."""
    told = []
    for _ in range(times):
        try:
            speech, _ = await on.heard(asking())
        except SpeechError as error:
            told.append(error.reason)
        else:
            told.append(speech.fallback)
    return told


def state(on: Stage, key: tuple[str, str] = KEY) -> str:
    belief = on.speaker.asker.outlook.beliefs().get(key)
    return belief.state if belief else "closed"


async def test_who_keeps_failing_is_passed_over_until_it_has_rested(tmp_path: Path) -> None:
    one = failing(Broken("x"))
    async with stage(tmp_path, QUICK, one=one, good=Scripted()) as on:
        assert await ask(on, 3) == ["one=broken"] * 3
        assert await ask(on, 2) == ["one=resting"] * 2
        assert one.entered == 3
        one.play = Script()
        await asyncio.sleep(0.21)
        assert await ask(on) == ["none"]
        assert state(on) == "closed"
        changes = [event for event in on.ear.events if isinstance(event, BreakerChanged)]
        assert [(event.state, event.reason) for event in changes] == [
            ("open", "broken"),
            ("closed", ""),
        ]


@pytest.mark.parametrize("error", [BadKey("x"), NoCredit("x")])
async def test_a_bad_key_is_not_tried_twice_and_somebody_is_told(
    error: ProviderError, tmp_path: Path
) -> None:
    async with stage(tmp_path, one=failing(error), good=Scripted()) as on:
        with capture_logs() as lines:
            assert await ask(on, 2) == [f"one={error.reason}", "one=resting"]
    assert [line["log_level"] for line in lines if "alone" in line["event"]] == ["error"]


async def test_its_own_retry_after_is_obeyed(tmp_path: Path) -> None:
    one = failing(Busy("x", retry_after=30))
    async with stage(tmp_path, one=one, good=Scripted()) as on:
        assert await ask(on, 2) == ["one=busy", "one=resting"]
        assert 29 < on.speaker.asker.outlook.wait_s(*KEY) <= 30


async def test_who_is_busy_without_saying_how_long_counts_like_any_failure(tmp_path: Path) -> None:
    async with stage(tmp_path, QUICK, one=failing(Busy("x")), good=Scripted()) as on:
        await ask(on, 9)
        assert state(on) == "open"


@pytest.mark.parametrize("error", [Refused("x"), NotReady("x")])
async def test_what_is_no_failure_of_its_own_never_counts(
    error: ProviderError, tmp_path: Path
) -> None:
    async with stage(tmp_path, QUICK, one=failing(error), good=Scripted()) as on:
        assert await ask(on, 9) == [f"one={error.reason}"] * 9
        assert state(on) == "closed"


async def test_a_hang_up_never_counts(tmp_path: Path) -> None:
    one = Scripted(Script(entering=(Hang(),)))
    async with stage(tmp_path, QUICK, one=one) as on:
        for _ in range(9):
            waiting = asyncio.create_task(on.heard(asking()))
            await one.until(lambda player: player.open == 1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert state(on) == "closed"
        one.play = Script()
        assert await ask(on) == ["none"]


async def test_our_own_full_slots_never_count(tmp_path: Path) -> None:
    one = Scripted(Script((Tone(0.1), Hang())))
    config = {**QUICK, "providers": {"one": {"slots": 1}}}
    async with stage(tmp_path, config, one=one, good=Scripted()) as on, on.speak(asking()):
        assert await ask(on, 9) == ["one=busy"] * 9
        assert state(on) == "closed"


async def test_speech_that_breaks_after_its_first_sound_counts(tmp_path: Path) -> None:
    one = Scripted(Script((Tone(0.1), Raise(Broken("x")))))
    async with stage(tmp_path, QUICK, one=one, good=Scripted()) as on:
        await ask(on, 3)
        assert state(on) == "open"


async def test_when_all_rest_the_shortest_wait_is_told(tmp_path: Path) -> None:
    one, two = failing(Busy("x", retry_after=50)), failing(Busy("x", retry_after=20))
    async with stage(tmp_path, {"timeouts": {"deadline_s": 5}}, one=one, two=two) as on:
        await ask(on)
        with pytest.raises(Overloaded) as caught:
            await on.heard(asking())
        assert caught.value.retry_after is not None
        assert 19 < caught.value.retry_after <= 20
        assert (one.entered, two.entered) == (1, 1)


async def test_what_may_pass_is_tried_once_more_after_a_pause(tmp_path: Path) -> None:
    one = Scripted(in_turn(Script(entering=(Raise(Unreachable("x")),)), Script()))
    async with stage(tmp_path, QUICK, one=one, other=failing(Broken("x"))) as on:
        assert await ask(on) == ["one=unreachable, other=broken"]
        assert one.entered == 2


async def test_the_pause_keeps_within_the_deadline(tmp_path: Path) -> None:
    one = failing(Busy("x", retry_after=5))
    async with stage(tmp_path, {"timeouts": {"deadline_s": 1}}, one=one) as on:
        began = asyncio.get_running_loop().time()
        assert await ask(on) == ["overloaded"]
        assert asyncio.get_running_loop().time() - began < 0.9
        assert one.entered == 1


# ---- two at once

HEDGED: dict[str, Any] = {"model": {"hedge": 0.5}, "timeouts": {"retry_pause_s": 0.01}}


async def test_when_the_first_is_late_the_second_is_asked_too_and_the_first_sound_wins(
    tmp_path: Path,
) -> None:
    one, two = Scripted(), Scripted()
    async with stage(tmp_path, HEDGED, one=one, two=two) as on:
        assert await ask(on, 20) == ["none"] * 20
        one.play = Script(entering=(Hang(),))
        record = opened()
        async with asyncio.timeout(5):
            speech, body = await on.heard(asking(), record)
        assert (speech.provider, record.hedged, len(body)) == ("two", True, 48_000)
        assert {(a.provider, a.result) for a in record.attempts} == {
            ("one", "abandoned"),
            ("two", "spoken"),
        }
        assert on.held == 0


async def test_no_more_than_the_configured_share_is_hedged(tmp_path: Path) -> None:
    one = Scripted()
    config = {"model": {"hedge": 0.1}}
    async with stage(tmp_path, config, one=one, two=Scripted()) as on:
        await ask(on, 20)
        one.play = Script(entering=(Raise(Unreachable("x")),))
        hedged = 0
        one.play = Script((Tone(0.1),), entering=())
        for _ in range(40):
            record = opened()
            await on.heard(asking(), record)
            hedged += record.hedged
        assert hedged <= 6


async def test_who_fails_at_once_is_not_waited_for(tmp_path: Path) -> None:
    one = Scripted()
    async with stage(tmp_path, HEDGED, one=one, two=failing(Broken("x")), good=Scripted()) as on:
        await ask(on, 20)
        one.play = Script(entering=(Raise(Broken("x")),))
        assert await ask(on) == ["one=broken, two=broken"]
