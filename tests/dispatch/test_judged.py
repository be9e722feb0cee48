"""What is not speech: before anything has left the next is asked, after it certainty breaks off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from router.audio.pace import expected
from router.contract.errors import NobodySpoke, NotSpeech
from router.testing.scripted import Bytes, Script, Scripted, Tone, Until
from tests.dispatch.stage import PCM, WAV, Stage, able, asking, opened, stage

JUDGED = {"integrity": {"judges": True}}
TEXT = "Every morning the old baker opens the shop before the sun is up, and the whole street " * 3
LEAST_S = expected(TEXT, "en").least_s


def silent(seconds: float) -> Scripted:
    """A provider whose samples are all zero."""
    zeros = Bytes(bytes(2 * int(24_000 * seconds)))
    return Scripted(Script((zeros,)), offers=able(formats=(PCM,)))


def speaking(part: float) -> Scripted:
    """A provider whose sound is this part of the least that the text needs; tones pass as speech
    as long as they are short."""
    return Scripted(Script((Tone(part * LEAST_S),)))


async def fallback(on: Stage, **changed: object) -> str:
    speech, _ = await on.heard(asking(TEXT, **changed))
    return speech.fallback


async def test_silence_is_found_before_anything_leaves_and_the_next_speaks(tmp_path: Path) -> None:
    async with stage(tmp_path, JUDGED, mute=silent(3.0), good=Scripted()) as on:
        speech, body = await on.heard(asking(format=WAV))
        assert (speech.provider, speech.fallback) == ("good", "mute=not_speech")
        assert len(body) == 48_044
        assert [doubt.finding for doubt in on.ear.doubts] == ["silent"]
        assert on.ear.doubts[0].provider == "mute"


async def test_silence_alone_is_an_error_and_never_a_success(tmp_path: Path) -> None:
    async with stage(tmp_path, JUDGED, mute=silent(3.0)) as on:
        with pytest.raises(NobodySpoke):
            await on.heard(asking(format=WAV))


async def test_a_stream_that_is_silent_and_short_is_found_before_it_leaves(tmp_path: Path) -> None:
    async with stage(tmp_path, JUDGED, mute=silent(0.25), good=Scripted()) as on:
        speech, _ = await on.heard(asking())
        assert speech.fallback == "mute=not_speech"


async def test_a_stream_that_stays_silent_breaks_off(tmp_path: Path) -> None:
    async with stage(tmp_path, JUDGED, mute=silent(3.0), good=Scripted()) as on:
        with pytest.raises(NotSpeech):
            await on.heard(asking())


async def test_what_is_held_whole_is_judged_whole(tmp_path: Path) -> None:
    async with stage(tmp_path, JUDGED, hasty=speaking(0.3), good=speaking(0.95)) as on:
        assert await fallback(on, format=WAV, stream=None) == "hasty=not_speech"


async def test_doubtful_speech_of_the_last_is_better_than_none(tmp_path: Path) -> None:
    async with stage(tmp_path, JUDGED, hasty=speaking(0.3)) as on:
        record = opened()
        speech, body = await on.heard(asking(TEXT, format=WAV), record)
        assert speech.complete
        assert body
        assert record.doubts == ["too_short"]
        assert record.outcome == "spoken"


async def test_after_the_first_sound_doubt_is_noted_and_the_speech_goes_on(tmp_path: Path) -> None:
    async with stage(tmp_path, JUDGED, hasty=speaking(0.3), good=Scripted()) as on:
        record = opened()
        speech, _ = await on.heard(asking(TEXT), record)
        assert (speech.provider, speech.complete) == ("hasty", True)
        assert (record.doubts, record.outcome) == (["too_short"], "spoken")
        assert [(doubt.finding, doubt.certain) for doubt in on.ear.doubts] == [("too_short", False)]


async def test_a_setting_makes_doubt_break_it_off(tmp_path: Path) -> None:
    strict = {"integrity": {"judges": True, "breaks": True}}
    async with stage(tmp_path, strict, hasty=speaking(0.3), good=Scripted()) as on:
        record = opened()
        with pytest.raises(NotSpeech):
            await on.heard(asking(TEXT), record)
        assert (record.outcome, record.reason) == ("broken", "not_speech")


async def test_after_the_first_sound_certainty_breaks_it_off(tmp_path: Path) -> None:
    async with stage(tmp_path, JUDGED, cut=speaking(0.05), good=Scripted()) as on:
        record = opened()
        with pytest.raises(NotSpeech):
            await on.heard(asking(TEXT), record)
        assert (record.outcome, record.doubts) == ("broken", ["too_short"])


async def test_no_more_than_300_ms_wait_for_the_judge(tmp_path: Path) -> None:
    """A provider that begins in silence is let go after so much of it."""
    release = asyncio.Event()
    quiet = Bytes(bytes(2 * 24_000 * 31 // 100))
    player = Scripted(Script((quiet, Until(release), Tone(2.0))))
    async with (
        asyncio.timeout(5),
        stage(tmp_path, JUDGED, player=player) as on,
        on.speak(asking()) as speech,
    ):
        assert await anext(speech.chunks())
        release.set()


@pytest.mark.parametrize("gain_db", [6.0, -6.0])
async def test_a_providers_gain_is_in_its_sound(gain_db: float, tmp_path: Path) -> None:
    async with stage(tmp_path, one=Scripted()) as plain:
        _, before = await plain.heard(asking())
    config = {"providers": {"one": {"gain_db": gain_db}}}
    async with stage(tmp_path / "louder", config, one=Scripted()) as on:
        _, after = await on.heard(asking())
    assert peak(after) == pytest.approx(peak(before) * 10 ** (gain_db / 20), rel=0.01)


def peak(pcm: bytes) -> int:
    return max(map(abs, memoryview(pcm).cast("h")))
