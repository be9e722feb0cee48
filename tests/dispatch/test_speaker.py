"""The journey of a request: who is asked, what the caller hears of it, and how it is accounted."""

from __future__ import annotations

import asyncio
import io
import math
import wave
from pathlib import Path
from typing import Any

import pytest

from router.contract.audio import AudioFormat
from router.contract.errors import (
    BadKey,
    Broken,
    Busy,
    Disconnected,
    InvalidRequest,
    NobodyCan,
    NobodySpoke,
    NoCredit,
    NotReady,
    NotSpeech,
    OutOfTime,
    Overloaded,
    ProviderError,
    Refused,
    SpeechError,
    TimedOut,
    UnknownVoice,
    Unreachable,
)
from router.contract.record import SpeechRecord
from router.dispatch import bounds
from router.dispatch.verdicts import verdict
from router.testing.script import Bytes, Hang, Raise, Script, Tone, Until, in_turn
from router.testing.scripted import Scripted
from tests.dispatch.stage import CLIP, PCM, WAV, Stage, able, asking, failing, opened, stage

SECOND = 48_000
MARKER = "kept-to-ourselves-4711"
SHORT = {"timeouts": {"first_audio_s": 0.05, "stall_s": 0.05, "slot_s": 0.05, "place_s": 0.05}}


async def test_the_first_of_the_route_speaks(tmp_path: Path) -> None:
    async with stage(tmp_path, first=Scripted(), second=Scripted()) as on:
        record = opened()
        speech, body = await on.heard(asking(), record)
        assert len(body) == SECOND
        assert (speech.provider, speech.upstream_model, speech.fallback) == (
            "first",
            "tone-1",
            "none",
        )
        assert speech.complete
        assert not on.players["second"].orders
        assert (record.outcome, record.provider, record.fallback) == ("spoken", "first", "none")
        assert (record.characters, record.audio_bytes, record.audio_s) == (12, SECOND, 1.0)
        assert [attempt.result for attempt in record.attempts] == ["spoken"]
        assert record.first_audio_s is not None


FAILURES = (Refused, Busy, NotReady, BadKey, NoCredit, Unreachable, TimedOut, Broken, NotSpeech)


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_provider_that_fails_before_its_first_sound_is_not_heard_of(
    failure: type[ProviderError], tmp_path: Path
) -> None:
    dead = Scripted(Script(speaking=(Raise(failure("in the script")),)))
    async with stage(tmp_path, off=failing(failure("no")), dead=dead, good=Scripted()) as on:
        record = opened()
        speech, body = await on.heard(asking(), record)
        assert len(body) == SECOND
        word = failure.reason
        assert speech.fallback == f"off={word}, dead={word}"
        assert [a.result for a in record.attempts] == [word, word, "spoken"]
        assert record.fallback == speech.fallback
        assert [event.reason for event in on.ear.failures] == [word, word]
        assert on.held == 0


async def test_the_trail_names_those_who_were_passed_over_too(tmp_path: Path) -> None:
    deaf = Scripted(offers=able(languages=frozenset({"zh"})))
    async with stage(
        tmp_path, deaf=deaf, busy=failing(Busy("no")), good=Scripted(), after=Scripted()
    ) as on:
        speech, _ = await on.heard(asking())
        assert speech.fallback == "deaf=no_language, busy=busy"


async def test_a_connection_that_was_closed_is_tried_once_more_at_once(tmp_path: Path) -> None:
    gone = Script(entering=(Raise(Disconnected("gone")),))
    once = Scripted(in_turn(gone, Script()))
    async with stage(tmp_path, once=once, other=Scripted()) as on:
        record = opened()
        speech, _ = await on.heard(asking(), record)
        assert speech.provider == "once"
        assert [a.result for a in record.attempts] == ["unreachable", "spoken"]
    twice = Scripted(in_turn(gone))
    async with stage(tmp_path, twice=twice, other=Scripted()) as on:
        speech, _ = await on.heard(asking())
        assert speech.provider == "other"
        assert len(twice.orders) == 2


async def test_after_the_first_sound_nothing_is_repeated(tmp_path: Path) -> None:
    dies = Scripted(Script(speaking=(Tone(0.5), Raise(Broken("cut")))))
    async with stage(tmp_path, dies=dies, other=Scripted()) as on:
        record = opened()
        with pytest.raises(Broken):
            await on.heard(asking(), record)
        assert not on.players["other"].orders
        assert (record.outcome, record.reason, record.audio_bytes) == (
            "broken",
            "broken",
            SECOND // 2,
        )
        assert on.held == 0


async def test_what_is_held_whole_falls_over_in_mid_speech(tmp_path: Path) -> None:
    dies = Scripted(Script(speaking=(Tone(0.5), Raise(Broken("cut")))))
    async with stage(tmp_path, dies=dies, other=Scripted()) as on:
        speech, body = await on.heard(asking(format=WAV))
        assert speech.provider == "other"
        assert speech.fallback == "dies=broken"
        assert speech.length == len(body)
        with wave.open(io.BytesIO(body)) as file:
            assert file.getnframes() == 24_000


async def test_what_grows_beyond_its_bound_streams_on_from_there(tmp_path: Path) -> None:
    long = Scripted(Script(speaking=(Tone(40.0),)))
    async with stage(tmp_path, {"server": {"whole_bytes": 1_048_576}}, long=long) as on:
        speech, body = await on.heard(asking(format=WAV))
        assert speech.length is None
        assert len(body) == 40 * SECOND + 44
        assert body[40:44] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize("format", [PCM, WAV])
async def test_a_header_alone_is_no_speech(format: AudioFormat, tmp_path: Path) -> None:
    mute = Scripted(Script(speaking=(Tone(0.0),)))
    async with stage(tmp_path, mute=mute, good=Scripted()) as on:
        speech, _ = await on.heard(asking(format=format))
        assert speech.fallback == "mute=not_speech"


async def test_an_error_page_instead_of_audio_is_no_speech(tmp_path: Path) -> None:
    page = Scripted(Script(speaking=(Bytes(b'{"error": "no"}' * 9),)), offers=able(formats=(WAV,)))
    async with stage(tmp_path, page=page, good=Scripted()) as on:
        speech, _ = await on.heard(asking(format=WAV))
        assert speech.fallback == "page=not_speech"


async def test_a_provider_that_is_silent_for_too_long_is_left(tmp_path: Path) -> None:
    silent = Scripted(Script(speaking=(Hang(),)))
    shut = Scripted(Script(entering=(Hang(),)))
    async with stage(tmp_path, SHORT, silent=silent, shut=shut, good=Scripted()) as on:
        speech, body = await on.heard(asking())
        assert speech.fallback == "silent=timed_out, shut=timed_out"
        assert len(body) == SECOND
        assert on.held == 0


async def test_one_provider_may_have_a_limit_of_its_own(tmp_path: Path) -> None:
    config = {"providers": {"silent": {"first_audio_s": 0.02}}}
    silent = Scripted(Script(entering=(Hang(),)))
    async with stage(tmp_path, config, silent=silent, good=Scripted()) as on:
        speech, _ = await on.heard(asking())
        assert speech.fallback == "silent=timed_out"


async def test_one_deadline_spans_all_attempts(tmp_path: Path) -> None:
    config = {"timeouts": {"deadline_s": 0.8, "first_audio_s": 0.5}}
    hangs = {name: Scripted(Script(entering=(Hang(),))) for name in "abcd"}
    async with stage(tmp_path, config, **hangs) as on:
        record = opened()
        with pytest.raises(OutOfTime):
            await on.heard(asking(), record)
        assert [a.provider for a in record.attempts] == ["a", "b"]
        assert (record.outcome, record.reason) == ("failed", "out_of_time")
        assert record.fallback == "a=timed_out, b=timed_out"


async def test_a_provider_that_falls_silent_in_mid_speech_breaks_it_off(tmp_path: Path) -> None:
    stalls = Scripted(Script(speaking=(Tone(0.1), Hang())))
    async with stage(tmp_path, SHORT, stalls=stalls) as on:
        record = opened()
        with pytest.raises(TimedOut):
            await on.heard(asking(), record)
        assert (record.outcome, record.reason) == ("broken", "timed_out")
        assert on.held == 0


async def test_a_speech_without_end_is_ended_by_the_total_limit(tmp_path: Path) -> None:
    endless = Scripted(Script(speaking=(Tone(math.inf, pace=0.05),)))
    async with stage(tmp_path, {"timeouts": {"total_s": 0.3}}, endless=endless) as on:
        record = opened()
        with pytest.raises(TimedOut):
            await on.heard(asking(), record)
        assert record.outcome == "broken"
        assert on.held == 0


async def test_a_clone_has_a_limit_of_its_own(tmp_path: Path) -> None:
    gate = asyncio.Event()
    slow = Scripted(
        Script(speaking=(Until(gate), Tone(0.1))), offers=able(cloning=True, formats=(PCM,))
    )
    config = {"timeouts": {"first_audio_s": 0.02, "deadline_s": 0.02, "clone_first_audio_s": 30}}
    async with stage(tmp_path, config, slow=slow) as on:
        asyncio.get_running_loop().call_later(0.1, gate.set)
        speech, _ = await on.heard(asking(clip=CLIP))
        assert speech.provider == "slow"
        assert slow.orders[0].clip is not None


# ---- bugs of others


async def test_an_unexpected_exception_counts_as_broken_and_the_next_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bug = failing(RuntimeError(MARKER))
    later = Scripted(Script(speaking=(Raise(ZeroDivisionError(MARKER)),)))
    async with stage(tmp_path, bug=bug, later=later, good=Scripted()) as on:
        speech, _ = await on.heard(asking())
        assert speech.fallback == "bug=broken, later=broken"
        assert on.held == 0
    said = "".join(capsys.readouterr())
    assert "RuntimeError" in said
    assert "scripted.py" in said, "the place of the bug"
    assert MARKER not in said


async def test_a_timeout_error_of_a_provider_is_its_bug_and_not_our_limit(tmp_path: Path) -> None:
    async with stage(tmp_path, bug=failing(TimeoutError()), good=Scripted()) as on:
        speech, _ = await on.heard(asking())
        assert speech.fallback == "bug=broken"


async def test_another_format_than_was_asked_for_is_no_speech(tmp_path: Path) -> None:
    liar = Scripted(offers=able(formats=(AudioFormat("pcm", 24_000, 2),)))
    async with stage(tmp_path, liar=liar, good=Scripted()) as on:
        liar._admitted = lambda *_: AudioFormat("pcm", 8_000, 1)  # type: ignore[method-assign]  # lies
        speech, _ = await on.heard(asking(format=WAV))
        assert speech.fallback == "liar=not_speech"


async def test_a_provider_that_does_not_let_go_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bounds, "LEAVE_S", 0.05)
    clings = Scripted(Script(leaving=(Hang(),)))
    async with stage(tmp_path, clings=clings) as on:
        began = asyncio.get_running_loop().time()
        speech, body = await on.heard(asking())
        assert asyncio.get_running_loop().time() - began < 2
        assert speech.complete
        assert len(body) == SECOND
    assert "does not let go" in "".join(capsys.readouterr())


async def test_an_error_on_leaving_reaches_nobody(tmp_path: Path) -> None:
    for error in (Broken("late"), RuntimeError(MARKER)):
        async with stage(tmp_path, odd=Scripted(Script(leaving=(Raise(error),)))) as on:
            record = opened()
            _, body = await on.heard(asking(), record)
            assert len(body) == SECOND
            assert record.outcome == "spoken"


# ---- the caller leaves


async def test_leaving_early_lets_go_of_the_provider_before_it_returns(tmp_path: Path) -> None:
    endless = Scripted(Script(speaking=(Tone(math.inf),)))
    async with stage(tmp_path, endless=endless) as on:
        record = opened()
        async with on.speak(asking(), record) as speech:
            await anext(speech.chunks())
            assert on.held == 1
        assert on.held == 0
        assert (record.outcome, record.reason) == ("abandoned", "")
        assert not on.ear.failures, "a hang-up is no fault of the provider"


async def test_a_hang_up_before_the_first_sound_ends_the_attempt(tmp_path: Path) -> None:
    silent = Scripted(Script(speaking=(Hang(),)))
    async with stage(tmp_path, silent=silent) as on:
        record = opened()
        task = asyncio.create_task(on.heard(asking(), record))
        await silent.until(lambda player: player.accepted == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert on.held == 0
        assert record.outcome == "abandoned"
        assert [a.result for a in record.attempts] == ["abandoned"]
        assert not on.ear.failures


async def test_no_task_is_left_behind(tmp_path: Path) -> None:
    async with stage(tmp_path, endless=Scripted(Script(speaking=(Tone(math.inf),)))) as on:
        before = asyncio.all_tasks()
        async with on.speak(asking()) as speech:
            chunks = speech.chunks()
            for _ in range(60):  # beyond what is handed through inline
                await anext(chunks)
        assert asyncio.all_tasks() == before


# ---- places and slots


async def test_a_busy_provider_is_passed_by_at_once_while_another_is_left(tmp_path: Path) -> None:
    gate = asyncio.Event()
    one = Scripted(Script(speaking=(Tone(0.1), Until(gate))))
    async with stage(tmp_path, {"providers": {"one": {"slots": 1}}}, one=one, two=Scripted()) as on:
        async with on.speak(asking()) as first:
            assert first.provider == "one"
            speech, _ = await on.heard(asking())
            assert speech.fallback == "one=busy"
        assert (one.most_open, on.held) == (1, 0)


async def test_the_last_candidates_slot_is_waited_for(tmp_path: Path) -> None:
    gate = asyncio.Event()
    only = Scripted(in_turn(Script(speaking=(Tone(0.1), Until(gate))), Script()))
    async with stage(tmp_path, {"providers": {"only": {"slots": 1}}}, only=only) as on:
        first = asyncio.create_task(on.heard(asking()))
        await only.until(lambda player: player.accepted == 1)
        second = asyncio.create_task(on.heard(asking()))
        gate.set()
        for speech, _ in await asyncio.gather(first, second):
            assert speech.fallback == "none"
        assert only.most_open == 1


async def test_a_full_server_says_when_to_come_back(tmp_path: Path) -> None:
    hold = Scripted(Script(speaking=(Tone(0.1), Hang())))
    config = {"server": {"places": 1}, "timeouts": {"place_s": 0.02}}
    async with stage(tmp_path, config, hold=hold) as on:
        async with on.speak(asking()):
            record = opened()
            with pytest.raises(Overloaded) as caught:
                await on.heard(asking(), record)
            assert caught.value.retry_after
            assert (record.outcome, record.reason) == ("refused", "overloaded")
        async with on.speak(asking()) as speech:
            assert speech.provider == "hold"


@pytest.mark.parametrize("failure", [*FAILURES, RuntimeError, asyncio.CancelledError])
async def test_no_slot_and_no_place_is_lost_however_it_ends(
    failure: type[Exception], tmp_path: Path
) -> None:
    error = failure("x")
    acts: tuple[Any, ...] = (Tone(0.1), Raise(error))
    player = Scripted(in_turn(*[Script(speaking=acts), Script(entering=(Raise(error),))] * 3))
    rests = {"cool_s": 1e-6, "cool_most_s": 1e-6}
    config = {
        "server": {"places": 1},
        "providers": {"one": {"slots": 1}},
        "outlook": rests,
        **SHORT,
    }
    async with stage(tmp_path, config, one=player) as on:
        for _ in range(6):
            with pytest.raises((SpeechError, asyncio.CancelledError)):
                await on.heard(asking())
        player.play = Script()
        speech, _ = await on.heard(asking())
        assert speech.complete
        assert on.held == 0


# ---- nobody spoke


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ([Refused("Too rude."), Refused("No.")], InvalidRequest),
        ([Busy("x"), Busy("x")], Overloaded),
        ([Busy("x"), NotReady("x")], Overloaded),
        ([TimedOut("x"), TimedOut("x")], OutOfTime),
        ([Refused("x"), Busy("x")], NobodySpoke),
        ([TimedOut("x"), Broken("x")], NobodySpoke),
        ([BadKey("x")], NobodySpoke),
        ([NoCredit("x")], NobodySpoke),
        ([Unreachable("x")], NobodySpoke),
        ([Broken("x")], NobodySpoke),
        ([NotSpeech("x")], NobodySpoke),
    ],
)
def test_the_verdict_when_nobody_spoke(
    errors: list[ProviderError], told: type[SpeechError]
) -> None:
    assert type(verdict(errors)) is told


def test_only_a_refusal_carries_an_upstreams_words() -> None:
    assert "Too rude." in verdict([Refused("Too rude.")]).message
    for failure in FAILURES[1:]:
        assert MARKER not in verdict([failure(MARKER)]).message


def test_the_smallest_wait_is_told() -> None:
    errors = [Busy("x", retry_after=30), Busy("x", retry_after=4), NotReady("x")]
    assert verdict(errors).retry_after == 4
    assert verdict([Busy("x")]).retry_after


async def test_a_record_of_failure_tells_every_attempt(tmp_path: Path) -> None:
    async with stage(tmp_path, a=failing(Broken("x")), b=failing(Unreachable("x"))) as on:
        record = opened()
        with pytest.raises(NobodySpoke):
            await on.heard(asking(), record)
        assert (record.outcome, record.reason) == ("failed", "nobody_spoke")
        assert record.fallback == "a=broken, b=unreachable"
        assert [(a.provider, a.result) for a in record.attempts] == [
            ("a", "broken"),
            ("b", "unreachable"),
            ("b", "unreachable"),  # once more after a pause: the network may be back
        ]
        assert record.first_audio_s is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"voice": "nobody at all"}, UnknownVoice),
        ({"language": "no tag"}, InvalidRequest),
    ],
)
async def test_what_is_refused_costs_no_provider_anything(
    changed: dict[str, Any], told: type[SpeechError], tmp_path: Path
) -> None:
    async with stage(tmp_path, one=Scripted()) as on:
        record = opened()
        with pytest.raises(told):
            await on.heard(asking(**changed), record)
        assert (record.outcome, record.reason) == ("refused", told.reason)
        assert not on.players["one"].orders
        assert not record.attempts


async def test_a_provider_that_could_not_start_is_off_with_its_reason(tmp_path: Path) -> None:
    async with stage(tmp_path, one=Scripted(offers={})) as on:
        with pytest.raises(NobodyCan):
            await on.heard(asking())


# ---- silence


@pytest.mark.parametrize("text", [".", "😀", "—…"])
async def test_a_text_without_letter_or_digit_is_silence_of_ours(text: str, tmp_path: Path) -> None:
    async with stage(tmp_path, one=Scripted()) as on:
        record = opened()
        speech, body = await on.heard(asking(text, format=WAV), record)
        assert (speech.provider, speech.characters) == ("router", 0)
        assert speech.length == len(body)
        assert not any(body[44:])
        with wave.open(io.BytesIO(body)) as file:
            assert file.getnframes() == 7_200
        assert not on.players["one"].orders
        assert (record.outcome, record.characters) == ("spoken", 0)
        assert record.audio_s == pytest.approx(0.3)


async def test_what_is_told_of_a_request_has_no_text_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stage(tmp_path, bad=failing(RuntimeError(MARKER)), good=Scripted()) as on:
        record = opened()
        await on.heard(asking(MARKER), record)
        on.speaker.observers.recorded(record)
        assert MARKER not in repr(on.ear.records)
        assert MARKER not in repr(on.players["good"].orders)
    assert MARKER not in "".join(capsys.readouterr())


async def test_an_observer_that_fails_is_nobody_elses_trouble(tmp_path: Path) -> None:
    class Bad:
        def recorded(self, record: SpeechRecord) -> None:
            raise RuntimeError(MARKER)

        def noticed(self, event: object) -> None:
            raise RuntimeError(MARKER)

    async with stage(tmp_path, a=failing(Broken("x")), b=Scripted()) as on:
        on.speaker.observers.join(Bad())
        after = type(on.ear)()
        on.speaker.observers.join(after)
        record = opened()
        await on.heard(asking(), record)
        on.speaker.observers.recorded(record)
        assert len(after.records) == 1
        assert len(after.failures) == 1


async def test_speeches_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    async with stage(tmp_path, one=Scripted(), two=Scripted()) as on:
        heard = await asyncio.gather(*(on.heard(asking(f"Number {n}.")) for n in range(30)))
        assert {len(body) for _, body in heard} == {SECOND}
        assert on.held == 0
        assert _free(on) == (64, 16)


def _free(on: Stage) -> tuple[int, int]:
    return on.speaker.places.free, on.speaker.asker.slots["one"].free
