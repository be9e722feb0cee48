"""Whoever asks again with the same Idempotency-Key hears the same, and nobody speaks twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.contract.caller import Caller
from router.contract.errors import Broken, IdempotencyConflict, NobodySpoke, SpeechError
from router.contract.record import SpeechRecord
from router.contract.speech import SpeechRequest, Terms
from router.dispatch.answers import Answers, Turn
from router.dispatch.keeping import LOST
from router.dispatch.kept import About, Kept
from router.dispatch.speech import Speech
from router.testing.scripted import Hang, Raise, Script, Scripted, Tone, Until
from tests.dispatch.stage import CLIP, PCM, WAV, Stage, able, asking, opened, stage
from tests.dispatch.test_kept import ALICE, BOB, ON, Clock, Hoarse, files_in

ONE, OTHER = Terms(idempotency_key="one"), Terms(idempotency_key="other")
AUDIO_BYTES = 48_000


async def hear(
    on: Stage,
    request: SpeechRequest | None = None,
    terms: Terms = ONE,
    caller: Caller = ALICE,
    record: SpeechRecord | None = None,
) -> tuple[Speech, bytes]:
    record = record or opened()
    async with on.speaker.speak(request or asking(), caller, record, terms) as speech:
        return speech, b"".join([chunk async for chunk in speech.chunks()])


# ---- the same again


@pytest.mark.parametrize(
    "asked",
    [{}, {"format": WAV}, {"clip": CLIP}, {"text": "word " * 300}],
    ids=["streamed", "whole", "a clone", "a long text"],
)
async def test_who_asks_again_hears_the_same_and_nobody_is_asked(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    one = Hoarse(offers=able(cloning=True))
    async with stage(tmp_path, one=one) as on:
        record = opened()
        first, said = await hear(on, asking(**asked))
        calls = one.entered
        again, heard = await hear(on, asking(**asked), record=record)
        assert one.entered == calls
        assert heard == said
        assert (first.repeat, again.repeat, record.repeat) == (False, True, True)
        assert (record.attempts, record.outcome, again.cache) == ([], "spoken", "")
        for name in ("provider", "upstream_model", "voice", "fallback", "format", "seconds"):
            assert getattr(again, name) == getattr(first, name)
        assert on.speaker._shared._under_way == {}
    assert not files_in(tmp_path)


async def test_another_key_another_caller_and_no_key_are_spoken_to_anew(tmp_path: Path) -> None:
    one = Hoarse()
    async with stage(tmp_path, one=one) as on:
        await hear(on)
        await hear(on, terms=OTHER)
        await hear(on, caller=BOB)
        await hear(on, terms=Terms())
        assert one.entered == 4


async def test_who_wants_nothing_from_the_cache_hears_the_same_too(tmp_path: Path) -> None:
    one = Hoarse()
    fresh = Terms(idempotency_key="one", fresh=True)
    async with stage(tmp_path, ON, one=one) as on:
        await hear(on, terms=fresh)
        again, _ = await hear(on, terms=fresh)
        assert (again.repeat, again.cache, one.entered) == (True, "", 1)


async def test_what_came_from_the_cache_is_the_answer_to_the_key_as_well(tmp_path: Path) -> None:
    one = Hoarse()
    async with stage(tmp_path, ON, one=one) as on:
        await hear(on, terms=Terms())
        first, said = await hear(on)
        on.speaker._keeper._cache = None  # it may forget at any time
        again, heard = await hear(on)
        assert (first.repeat, first.cache) == (False, "hit")
        assert (again.repeat, again.cache, heard) == (True, "hit", said)
        assert one.entered == 1


async def test_a_text_with_nothing_to_say_may_have_a_key(tmp_path: Path) -> None:
    async with stage(tmp_path, one=Hoarse()) as on:
        for text in ("...", "...", "Now it may stand for something."):
            speech, body = await hear(on, asking(text))
            assert body
            assert not speech.repeat


# ---- something else under the same key


@pytest.mark.parametrize(
    "other",
    [
        {"text": "Something else."},
        {"voice": "nova"},
        {"format": WAV},
        {"speed": 1.5},
        {"clip": CLIP},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_the_same_key_with_another_body_is_refused(
    other: dict[str, Any], tmp_path: Path
) -> None:
    one = Hoarse(offers=able(cloning=True))
    async with stage(tmp_path, one=one) as on:
        await hear(on)
        record = opened()
        with pytest.raises(IdempotencyConflict):
            await hear(on, asking(**other), record=record)
        assert (record.outcome, record.reason) == ("refused", "idempotency_conflict")
        again, _ = await hear(on)
        assert (again.repeat, one.entered) == (True, 1)


async def test_another_body_is_refused_while_the_first_is_under_way(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    one = Hoarse(Script((Until(go_on), Tone(1.0))))
    async with stage(tmp_path, one=one) as on, asyncio.timeout(5):
        first = asyncio.create_task(hear(on))
        await one.until(lambda player: player.entered > 0)
        with pytest.raises(IdempotencyConflict):
            await hear(on, asking("Something else."))
        go_on.set()
        _, body = await first
        assert len(body) == AUDIO_BYTES


async def test_a_key_for_which_nothing_was_ever_heard_may_stand_for_something_else(
    tmp_path: Path,
) -> None:
    one = Scripted(Script(entering=(Raise(Broken("x")),)))
    async with stage(tmp_path, one=one) as on:
        for text in ("First.", "Second."):
            with pytest.raises(NobodySpoke):
                await hear(on, asking(text))


# ---- at the same time


@pytest.mark.parametrize("share", [False, True])
async def test_who_asks_again_while_it_is_under_way_joins_it(share: bool, tmp_path: Path) -> None:
    go_on = asyncio.Event()
    one = Hoarse(Script((Tone(0.5), Until(go_on), Tone(0.5))))
    async with (
        stage(tmp_path, {"model": {"share": share}}, one=one) as on,
        asyncio.timeout(5),
    ):
        records = [opened(), opened()]
        first = asyncio.create_task(hear(on, record=records[0]))
        await one.until(lambda player: player.chunks > 0)
        second = asyncio.create_task(hear(on, record=records[1]))
        await asyncio.sleep(0.01)
        go_on.set()
        (_, said), (_, heard) = await asyncio.gather(first, second)
        assert (one.entered, heard, len(heard)) == (1, said, AUDIO_BYTES)
        assert [record.shared for record in records] == [False, True]
        assert on.speaker._shared._under_way == {}


async def test_many_at_the_same_moment_make_one_call(tmp_path: Path) -> None:
    one = Hoarse(Script((Tone(1.0, 0.02),)))
    async with stage(tmp_path, one=one) as on:
        heard = await asyncio.gather(*(hear(on) for _ in range(20)))
        assert one.entered == 1
        assert len({body for _, body in heard}) == 1


async def test_who_asks_again_late_in_a_long_speech_still_joins_it(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    one = Hoarse(Script((Tone(60.0), Until(go_on), Tone(1.0))))
    async with stage(tmp_path, one=one) as on, asyncio.timeout(10):
        async with on.speaker.speak(asking(), ALICE, opened(), ONE) as first:
            chunks, taken = first.chunks(), bytearray()
            while len(taken) < 59 * AUDIO_BYTES:
                taken += await anext(chunks)
            second = asyncio.create_task(hear(on))
            await asyncio.sleep(0.01)
            go_on.set()
            async for chunk in chunks:
                taken += chunk
            _, heard = await second
        assert (one.entered, heard == bytes(taken), len(heard)) == (1, True, 61 * AUDIO_BYTES)


async def test_when_the_first_hangs_up_the_second_hears_it_to_its_end(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    one = Hoarse(Script((Tone(0.5), Until(go_on), Tone(0.5))))
    async with stage(tmp_path, one=one) as on, asyncio.timeout(5):
        first = asyncio.create_task(hear(on))
        await one.until(lambda player: player.chunks > 0)
        second = asyncio.create_task(hear(on))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        go_on.set()
        _, body = await second
        third, again = await hear(on)
        assert (len(body), again, third.repeat) == (AUDIO_BYTES, body, True)
        assert (one.entered, one.open) == (1, 0)


async def test_who_waited_for_a_place_meanwhile_hears_the_answer_and_not_another(
    tmp_path: Path,
) -> None:
    go_on = asyncio.Event()
    one = Hoarse(Script((Until(go_on), Tone(1.0))))
    async with stage(tmp_path, {"server": {"places": 1}}, one=one) as on, asyncio.timeout(5):
        first = asyncio.create_task(hear(on))
        await one.until(lambda player: player.entered > 0)
        second = asyncio.create_task(hear(on))
        await asyncio.sleep(0.01)
        go_on.set()
        (_, said), (again, heard) = await asyncio.gather(first, second)
        assert (heard, again.repeat, one.entered) == (said, True, 1)


# ---- what was not heard to its end


async def test_a_speech_that_broke_off_is_spoken_again_and_then_kept(tmp_path: Path) -> None:
    breaking = Script((Tone(0.5), Raise(Broken("x"))))
    one = Hoarse(breaking)
    async with stage(tmp_path, one=one) as on:
        with pytest.raises(SpeechError):
            await hear(on)
        with pytest.raises(IdempotencyConflict):
            await hear(on, asking("Something else."))
        one.play = Script((Tone(1.0),))
        second, said = await hear(on)
        third, heard = await hear(on)
        assert (second.repeat, third.repeat) == (False, True)
        assert (heard, second.warnings, one.entered) == (said, (), 2)


async def test_who_hung_up_in_the_middle_is_spoken_to_again(tmp_path: Path) -> None:
    one = Hoarse(Script((Tone(0.1), Hang())))
    async with stage(tmp_path, one=one) as on, asyncio.timeout(5):
        async with on.speaker.speak(asking(), ALICE, opened(), ONE) as speech:
            await anext(speech.chunks())
        one.play = Script((Tone(1.0),))
        again, body = await hear(on)
        assert (again.repeat, len(body), one.entered) == (False, AUDIO_BYTES, 2)


async def test_who_lost_an_answer_that_was_whole_already_hears_that_one(tmp_path: Path) -> None:
    one = Hoarse()
    async with stage(tmp_path, one=one) as on:
        async with on.speaker.speak(asking(format=WAV), ALICE, opened(), ONE):
            pass  # the line was lost before the first byte
        again, body = await hear(on, asking(format=WAV))
        assert (again.repeat, again.length, one.entered) == (True, len(body), 1)


async def test_an_answer_too_large_to_keep_is_spoken_again_and_says_so(tmp_path: Path) -> None:
    one = Hoarse(Script((Tone(60.0),)))
    config = {"server": {"answers_bytes": 4_000_000}}
    async with stage(tmp_path, config, one=one) as on:
        first, _ = await hear(on)
        again, body = await hear(on)
        assert (first.warnings, again.warnings) == ((), (LOST,))
        assert (again.repeat, len(body), one.entered) == (False, 60 * AUDIO_BYTES, 2)
        with pytest.raises(IdempotencyConflict):
            await hear(on, asking("Something else."))


# ---- the store


def kept(size: int) -> Kept:
    about = About(
        provider="p", model="m", voice="v", format=PCM, fallback="none", seconds=1.0, tokens=None
    )
    return Kept(about, (bytes(size),))


def answered(answers: Answers, key: str, contents: bytes = b"it", size: int = 100) -> None:
    turn = answers.begin("alice", (key, contents))
    turn.heard()
    turn.keep(kept(size))
    turn.leave()


def is_there(answers: Answers, key: str) -> bool:
    turn = answers.begin("alice", (key, b"it"))
    try:
        return turn.kept is not None
    finally:
        turn.leave()


def test_an_answer_is_known_for_ten_minutes_from_its_end() -> None:
    clock = Clock()
    answers = Answers(1_000_000, now=clock)
    answered(answers, "one")
    clock.now += 599
    assert is_there(answers, "one")
    clock.now += 2
    assert not is_there(answers, "one")
    answered(answers, "one", b"something else")
    assert answers.bytes == kept(100).held_bytes


def test_a_long_speech_keeps_its_key_while_it_is_under_way() -> None:
    clock = Clock()
    answers = Answers(1_000_000, now=clock)
    turn = answers.begin("alice", ("one", b"it"))
    turn.heard()
    clock.now += 3600
    with pytest.raises(IdempotencyConflict):
        answers.begin("alice", ("one", b"something else"))
    turn.keep(kept(100))
    turn.leave()
    clock.now += 599
    assert is_there(answers, "one")


def test_the_names_of_caller_and_key_do_not_run_together() -> None:
    answers = Answers(1_000_000)
    turn = answers.begin("alice", ("bob", b"it"))
    turn.keep(kept(100))
    other = answers.begin("alic", ("ebob", b"something else"))
    assert other.kept is None


OPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "keep", "leave", "wait"]),
        st.integers(0, 9),
        st.integers(0, 2),
        st.integers(1, 40_000),
    ),
    max_size=120,
)


@settings(max_examples=200, deadline=None)
@given(ops=OPS)
def test_the_store_stays_within_its_bounds_and_no_key_ever_gives_something_else(
    ops: list[tuple[str, int, int, int]],
) -> None:
    clock = Clock()
    answers = Answers(100_000, age_s=60.0, most_keys=6, now=clock)
    under_way: list[tuple[Turn, bytes]] = []
    for what, number, other, size in ops:
        contents = bytes([other])
        if what == "begin":
            try:
                turn = answers.begin("alice", (str(number), contents))
            except IdempotencyConflict:
                continue
            assert turn.kept is None or turn.kept.about.voice == str((number, other))
            under_way.append((turn, str((number, other)).encode()))
        elif what == "wait":
            clock.now += number * 5
        elif under_way:
            turn, name = under_way[number % len(under_way)]
            if what == "keep":
                turn.heard()
                whole = kept(size)
                about = About(**{**_fields(whole.about), "voice": name.decode()})
                turn.keep(Kept(about, whole.chunks))
            else:
                turn.leave()
                under_way.remove((turn, name))
        held = sum(body.held_bytes for body in answers._bodies.values())
        assert held == answers.bytes <= 100_000
        assert len(answers._answers) <= 6 + len(under_way)
        assert answers._bodies.keys() <= answers._answers.keys()


def _fields(about: About) -> dict[str, Any]:
    return {name: getattr(about, name) for name in about.__struct_fields__}
