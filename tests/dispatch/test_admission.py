"""Who is let in: what cannot be in time goes to the next at once, or is told when to come back."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from router.contract.errors import Overloaded, SpeechError
from router.contract.speech import Terms
from router.testing.scripted import Pause, Script, Scripted, Tone, Until
from tests.dispatch.stage import CALLER, Stage, asking, opened, stage


async def ask(on: Stage, text: str = "Hello there.", **terms: Any) -> str:
    async with on.speaker.speak(asking(text), CALLER, opened(), Terms(**terms)) as speech:
        async for _ in speech.chunks():
            pass
        return speech.provider


async def test_a_full_provider_is_passed_by_while_another_is_free(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    one = Scripted(Script((Tone(0.1), Until(go_on))))
    config = {"providers": {"one": {"slots": 1}}}
    async with stage(tmp_path, config, one=one, two=Scripted()) as on, on.speak(asking()):
        assert await ask(on) == "two"
        go_on.set()


async def test_who_was_too_slow_of_late_for_the_time_that_is_left_is_passed_by(
    tmp_path: Path,
) -> None:
    one = Scripted(Script((Pause(0.3), Tone(0.2))))
    async with stage(tmp_path, one=one, two=Scripted()) as on:
        assert await ask(on) == "one"
        assert await ask(on, within_s=0.2) == "two"
        assert await ask(on, within_s=5) == "one"
        assert one.entered == 2


async def test_who_alone_could_speak_and_never_was_so_quick_is_asked_only_now_and_then(
    tmp_path: Path,
) -> None:
    one = Scripted(Script((Pause(0.3), Tone(0.1))))
    async with stage(tmp_path, {"timeouts": {"retry_pause_s": 0}}, one=one) as on:
        await asyncio.gather(*(ask(on, f"Hello, number {n}.") for n in range(20)))
        on.speaker.asker._dice = lambda: 0.5
        with pytest.raises(Overloaded, match=r"about 0\.[3-9] s") as caught:
            await ask(on, within_s=0.2)
        assert (one.entered, caught.value.retry_after) == (20, 1.0)

        on.speaker.asker._dice = lambda: 0.0
        with pytest.raises(SpeechError):
            await ask(on, within_s=0.2)
        assert one.entered == 21


async def test_a_wait_that_would_be_in_vain_is_refused_at_once_with_an_estimate(
    tmp_path: Path,
) -> None:
    """It speaks at twice the time that the audio lasts: known after its first speech."""
    one = Scripted(Script((Tone(0.2, 2.0),)))
    config = {"providers": {"one": {"slots": 1}}, "timeouts": {"slot_s": 1, "retry_pause_s": 0}}
    long = "A long text that takes it minutes. " * 20
    async with stage(tmp_path, config, one=one) as on:
        await ask(on)
        one.play = Script((Tone(60, 2.0),))
        loop = asyncio.get_running_loop()
        async with on.speak(asking(long)):
            began = loop.time()
            with pytest.raises(Overloaded) as caught:
                await ask(on, "And a short one.")
        assert loop.time() - began < 0.5
        assert caught.value.retry_after == 30, "guesses beyond it are worthless"
        assert _estimate_s(caught.value) > 30


async def test_a_full_server_says_when_there_may_be_a_place(tmp_path: Path) -> None:
    one = Scripted(Script((Tone(0.2, 2.0),)))
    config = {"server": {"places": 1}, "timeouts": {"place_s": 1}}
    async with stage(tmp_path, config, one=one) as on:
        await ask(on)
        one.play = Script((Tone(60, 2.0),))
        async with on.speak(asking("A long text that takes it minutes. " * 20)):
            with pytest.raises(Overloaded) as caught:
                await ask(on, "And a short one.")
        assert caught.value.retry_after == 30
        assert _estimate_s(caught.value) > 30


def _estimate_s(error: Overloaded) -> int:
    found = re.search(r"in about (\d+) s", error.message)
    assert found is not None, error.message
    return int(found[1])


async def test_the_callers_own_deadline_is_kept_and_capped(tmp_path: Path) -> None:
    config = {"timeouts": {"deadline_s": 0.5, "deadline_most_s": 1, "retry_pause_s": 0}}
    silent = Scripted(Script((Pause(60), Tone(1))))
    async with stage(tmp_path, config, one=silent) as on:
        loop = asyncio.get_running_loop()
        for wish, limit in ((0.1, 0.1), (50, 1)):
            began = loop.time()
            with pytest.raises(Exception, match=r"in time|deadline"):
                await ask(on, within_s=wish)
            assert limit <= loop.time() - began + 0.01 < limit + 0.6
