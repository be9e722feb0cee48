"""Who was left alone and is asked by nobody is tried in the background, and never with a text of
the callers'."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.contract.errors import Broken, SpeechError
from router.contract.record import BreakerChanged
from router.dispatch.probes import PHRASE, Budget, Probes
from router.dispatch.speaker import Speaker
from router.settings.structs import Settings
from router.testing.script import Raise, Script, in_turn
from router.testing.scripted import Scripted
from tests.dispatch.stage import Stage, able, asking, stage

RESTS = {"least": 1, "cool_s": 0.05, "cool_most_s": 0.05}
SECRET_TEXT = "What a caller wrote is nobody's business."
WITHIN_S = 5.0


class Everything(msgspec.Struct, frozen=True):
    """What is current."""

    settings: Settings
    speaker: Speaker


class Patient(Scripted):
    """Its health is told when `may_tell` is set."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.may_tell = asyncio.Event()
        self.asked = 0

    async def health(self) -> None:
        self.asked += 1
        await self.may_tell.wait()


def broken_once() -> Scripted:
    return Scripted(in_turn(Script(entering=(Raise(Broken("not now")),)), Script()))


@asynccontextmanager
async def probing(
    folder: Path, voice: Scripted, budget: Budget | None = None, **outlook: Any
) -> AsyncIterator[Stage]:
    """A voice that has just failed for a caller, looked after."""
    async with stage(folder, {"outlook": {**RESTS, **outlook}}, voice=voice) as on:
        with pytest.raises(SpeechError):
            await on.heard(asking(SECRET_TEXT))
        assert told(on) == ["open"]
        everything = Everything(on.speaker._settings, on.speaker)
        async with Probes(lambda: nullcontext(everything), budget).kept_up():
            yield on


def told(on: Stage) -> list[str]:
    return [event.state for event in on.ear.events if isinstance(event, BreakerChanged)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


async def test_whoever_says_that_it_is_well_is_asked_again(tmp_path: Path) -> None:
    voice = broken_once()
    async with probing(tmp_path, voice) as on:
        await until(lambda: told(on)[-1] == "closed")

        assert voice.entered == 1  # by the caller: the probe has only asked how it is
        assert (await on.heard(asking()))[1]


async def test_asking_how_somebody_is_tells_nothing_of_their_pace(tmp_path: Path) -> None:
    async with probing(tmp_path, broken_once()) as on:
        await until(lambda: told(on)[-1] == "closed")

        assert on.speaker.asker.outlook.pace(("voice", "tone-1")).first_audio_s is None


async def test_whoever_is_still_ill_is_left_alone_again(tmp_path: Path) -> None:
    voice = broken_once()
    async with probing(tmp_path, voice) as on:
        voice.failure = Broken("still not")

        await until(lambda: told(on)[:2] == ["open", "open"])

        assert "closed" not in told(on)


async def test_a_phrase_of_ours_is_spoken_in_a_voice_of_its_own(tmp_path: Path) -> None:
    voice = broken_once()
    async with probing(tmp_path, voice, probe="phrase") as on:
        await until(lambda: told(on)[-1] == "closed")
        await until(lambda: voice.open == 0)

        spoken = voice.orders[-1]
        assert (spoken.text, spoken.voice.id, spoken.clip) == (PHRASE, "tone", None)
        assert [order.text for order in voice.orders] == [SECRET_TEXT, PHRASE]
        assert on.ear.records == []


async def test_phrases_end_with_the_budget_of_the_day(tmp_path: Path) -> None:
    voice = Scripted(Script(entering=(Raise(Broken("never")),)))
    most = 2 * len(PHRASE)
    async with probing(tmp_path, voice, probe="phrase", probe_characters=most) as on:
        await until(lambda: len(told(on)) == 3)
        untried = on.speaker.asker.outlook.untried
        for _ in range(3):  # it is tried again and again, and nothing comes of it
            await until(lambda: untried() == {("voice", "tone-1")})
            await asyncio.sleep(0.4)

        assert [order.text for order in voice.orders] == [SECRET_TEXT, PHRASE, PHRASE]


def test_a_budget_is_for_each_provider_and_each_day() -> None:
    day = dt.date(2030, 12, 31)
    budget = Budget(lambda: day)

    assert budget.spend("one", 6, most=10)
    assert not budget.spend("one", 6, most=10)
    assert budget.spend("one", 4, most=10)
    assert budget.spend("other", 10, most=10)
    day = dt.date(2031, 1, 1)
    assert budget.spend("one", 10, most=10)


async def test_nobody_is_tried_where_that_is_off(tmp_path: Path) -> None:
    voice = Patient(Script(entering=(Raise(Broken("not now")),)))
    voice.may_tell.set()
    async with probing(tmp_path, voice, probe="off") as on:
        asked = voice.asked  # for its voices, at the start
        await until(lambda: on.speaker.asker.outlook.untried() == {("voice", "tone-1")})
        await asyncio.sleep(0.8)

        assert voice.asked == asked
        assert told(on) == ["open"]


async def test_a_provider_is_tried_once_at_a_time(tmp_path: Path) -> None:
    """Two of its models are ill, and it takes its time to say how it is."""
    offers = {**able(), "tone-2": able()["tone-1"]}
    voice = Patient(Script(entering=(Raise(Broken("not now")),)), offers=offers)
    voice.may_tell.set()
    routes = [{"provider": "voice", "model": model} for model in offers]
    config = {"outlook": RESTS, "model": {"routes": routes}}
    async with stage(tmp_path, config, voice=voice) as on:
        with pytest.raises(SpeechError):
            await on.heard(asking())
        assert told(on) == ["open", "open"]
        asked, everything = voice.asked, Everything(on.speaker._settings, on.speaker)
        voice.may_tell.clear()
        async with Probes(lambda: nullcontext(everything)).kept_up():
            await until(lambda: voice.asked > asked)
            await asyncio.sleep(0.8)
            assert voice.asked == asked + 1

            voice.may_tell.set()
            await until(lambda: told(on)[2:] == ["closed", "closed"])


async def test_a_probe_under_way_ends_with_the_server(tmp_path: Path) -> None:
    voice = Patient(Script(entering=(Raise(Broken("not now")),)))
    voice.may_tell.set()
    async with asyncio.timeout(WITHIN_S):
        async with probing(tmp_path, voice) as on:
            asked = voice.asked
            voice.may_tell.clear()
            await until(lambda: voice.asked > asked)
            assert on.speaker.asker.outlook.untried() == set()

        assert [task for task in asyncio.all_tasks() if task.get_name() == "probe"] == []
        assert told(on) == ["open"]


async def test_whoever_does_not_say_in_time_how_it_is_has_failed(tmp_path: Path) -> None:
    voice = Patient(Script(entering=(Raise(Broken("not now")),)))
    voice.may_tell.set()
    more = {"timeouts": {"first_audio_s": 0.1}, "outlook": RESTS}
    async with stage(tmp_path, more, voice=voice) as on:
        with pytest.raises(SpeechError):
            await on.heard(asking())
        voice.may_tell.clear()
        everything = Everything(on.speaker._settings, on.speaker)
        async with Probes(lambda: nullcontext(everything)).kept_up():
            await until(lambda: told(on)[:2] == ["open", "open"])

        reasons = [event.reason for event in on.ear.events if isinstance(event, BreakerChanged)]
        assert reasons[:2] == ["broken", "timed_out"]
