"""The batched loop: whoever sits beside a row, it becomes what it would be alone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from providers.moss_tts_nano.engine.book import Closed, Full
from providers.moss_tts_nano.engine.script import Script
from providers.moss_tts_nano.sampling import Sampling
from tests.providers.moss.fakes import FakeModel, FakeParts, codes_in
from tests.providers.moss.scripts import CAPPED, PATIENCE_S, foretold, say, script, working


def endless(seed: int, texts: Sequence[int] = (1,), **more: Any) -> Script:
    """A script whose chunks go on to the cap, and are not made again for it."""
    return script(seed, texts, tries=1, guards=CAPPED, **more)


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_every_speech_sounds_as_if_it_were_alone(workers: int, seed: int) -> None:
    chance = random.Random(seed)
    scripts = [
        script(seed * 100 + n, [chance.randint(0, 9) for _ in range(chance.randint(1, 4))], voice=n)
        for n in range(14)
    ]
    parts = [FakeParts(FakeModel(seats=chance.randint(2, 4))) for _ in range(workers)]

    with working(*parts) as engine:
        heard = []
        for asked in scripts:
            heard.append(say(engine, asked))
            if chance.random() < 0.5:
                heard[-1].sounding.wait(PATIENCE_S)
        said = [codes_in(one.wait().sound) for one in heard]

    assert said == [foretold(asked) for asked in scripts]
    assert max(size for part in parts for act, size in part.model.calls if act == "step") > 1


def test_rows_with_samplings_of_their_own_do_not_disturb_each_other() -> None:
    samplings = [None, Sampling(audio_temperature=0.5), None, Sampling(audio_temperature=0.9)]
    scripts = [script(n, [n], mode="full", sampling=one) for n, one in enumerate(samplings)]

    with working(FakeParts(), mode="full") as engine:
        heard = [say(engine, asked) for asked in scripts]
        said = [codes_in(one.wait().sound) for one in heard]

    assert said == [foretold(asked) for asked in scripts]
    assert len({str(one) for one in said}) == len(said)


def test_a_speech_joins_at_the_next_frame() -> None:
    model = FakeModel()
    model.gate = threading.Semaphore(0)
    with working(FakeParts(model, stop_below=0)) as engine:
        first = say(engine, endless(1))
        model.gate.release(3)
        assert eventually(lambda: model.calls.count(("step", 1)) == 3)
        before = len(model.calls)
        second = say(engine, endless(2, voice=1))
        model.gate.release(2)
        assert eventually(lambda: ("step", 2) in model.calls)
        after = model.calls[before:]
        model.gate.release(1000)
        first.wait()
        second.wait()

    alone = after.index(("step", 2))
    assert sum(act == "step" for act, _ in after[:alone]) <= 1


def test_those_who_speak_get_a_frame_after_every_second_prompt() -> None:
    model = FakeModel(seats=5)
    with working(FakeParts(model, stop_below=0)) as engine:
        engine._book.lock.acquire()  # all come in the same moment
        threads = [
            threading.Thread(target=lambda n=n: heard.append(say(engine, endless(n))))
            for n in range(5)
        ]
        heard: list[object] = []
        for thread in threads:
            thread.start()
        engine._book.lock.release()
        for thread in threads:
            thread.join()
        assert eventually(lambda: ("step", 5) in model.calls)

    acts = [act for act, _ in model.calls[1:]]  # the first is the voice's
    joins = [n for n, act in enumerate(acts) if act == "join"]
    assert len(joins) == 5
    assert all(later - earlier > 2 for earlier, later in zip(joins, joins[2:], strict=False))


def test_a_cancelled_speech_frees_its_row_within_a_frame() -> None:
    model = FakeModel()
    model.gate = threading.Semaphore(0)
    with working(FakeParts(model, stop_below=0)) as engine:
        gone = say(engine, endless(1))
        stays = say(engine, endless(2))
        model.gate.release(4)
        assert eventually(lambda: ("step", 2) in model.calls)
        assert gone.utterance is not None
        engine.cancel(gone.utterance)
        before = len(model.calls)
        model.gate.release(2)
        assert eventually(lambda: len(model.sitting) == 1)
        assert [size for act, size in model.calls[before:] if act == "step"][1:2] in ([], [1])
        model.gate.release(1000)
        stays.wait()

    assert codes_in(stays.sound) == foretold(endless(2), stop_below=0, most=60)
    assert not gone.over.is_set()


def test_a_chunk_that_waits_for_a_seat_is_forgotten_with_its_speech() -> None:
    model = FakeModel(seats=1)
    model.gate = threading.Semaphore(0)
    with working(FakeParts(model)) as engine:
        say(engine, script(1))
        waiting = say(engine, script(2))
        assert engine.under_way == 2
        assert waiting.utterance is not None
        engine.cancel(waiting.utterance)
        assert engine.under_way == 1


def test_a_live_speech_comes_before_a_batch_that_has_waited_longer() -> None:
    model = FakeModel(seats=1)
    model.gate = threading.Semaphore(0)
    with working(FakeParts(model)) as engine:
        say(engine, script(1))
        assert eventually(lambda: bool(model.sitting))
        batch = say(engine, script(2, priority="batch"))
        live = say(engine, script(3))
        model.gate.release(1000)
        assert live.wait().began_at < batch.wait().began_at


def test_what_is_made_ahead_leaves_a_seat_for_the_next_who_comes() -> None:
    model = FakeModel(seats=4)
    with working(FakeParts(model, stop_below=0)) as engine:
        long = say(engine, endless(1, range(9)))
        say(engine, endless(2, range(9), priority="batch"))
        assert eventually(lambda: len(model.sitting) == 3)
        most = 0
        late = say(engine, endless(3))
        while not late.sounding.is_set():
            most = max(most, len(model.sitting))
        assert not long.over.is_set()
        late.wait()
        long.wait()

    assert most <= 4


def test_a_long_text_is_made_many_chunks_at_a_time() -> None:
    model = FakeModel(seats=4)
    asked = endless(1, range(6))
    with working(FakeParts(model, stop_below=0)) as engine:
        heard = say(engine, asked).wait()

    assert codes_in(heard.sound) == foretold(asked, stop_below=0, most=60)
    assert max(size for act, size in model.calls if act == "step") == 3


def test_more_speeches_than_may_wait_are_turned_away() -> None:
    model = FakeModel(seats=1)
    model.gate = threading.Semaphore(0)
    with working(FakeParts(model), waiting=1) as engine:
        say(engine, script(1))
        waiting = say(engine, script(2))
        with pytest.raises(Full):
            say(engine, script(3))
        assert waiting.utterance is not None
        engine.cancel(waiting.utterance)
        model.gate.release(1000)
        say(engine, script(3)).wait()


def test_a_voice_is_read_once_and_sounds_the_same_cold_and_warm() -> None:
    model = FakeModel()
    asked = script(1, [1, 2], voice=7)
    with working(FakeParts(model)) as engine:
        cold = say(engine, asked).wait().sound
        warm = say(engine, asked).wait().sound

    assert codes_in(cold) == codes_in(warm) == foretold(asked)
    assert [size for act, size in model.calls if act == "join"] == [5, 4, 5, 4, 5]


def test_only_so_many_voices_are_kept_as_the_budget_allows() -> None:
    model = FakeModel()
    with working(FakeParts(model), prefix_bytes=250) as engine:
        for voice in (1, 2, 1, 3, 1, 2):
            say(engine, script(1, voice=voice)).wait()
        assert engine.prefix_bytes == 200

    joins = [size for act, size in model.calls if act == "join"]
    assert joins == [5, 4, 5, 4, 4, 5, 4, 4, 5, 4]  # 2 was the oldest when 3 came


def test_a_model_that_keeps_no_prefix_reads_whole_prompts() -> None:
    model = FakeModel(keeps=False)
    asked = script(1, [1, 2, 3])
    with working(FakeParts(model)) as engine:
        heard = say(engine, asked).wait()

    assert codes_in(heard.sound) == foretold(asked)
    assert [size for act, size in model.calls if act == "join"] == [5, 9, 10, 11]


@pytest.mark.parametrize("fails_at", range(6))
def test_a_failure_of_the_runtime_ends_those_who_took_part_and_nobody_after(fails_at: int) -> None:
    model = FakeModel()
    model.fails_at = fails_at
    with working(FakeParts(model, stop_below=0)) as engine:
        first = say(engine, endless(1)).wait()
        assert isinstance(first.error, RuntimeError)
        second = say(engine, endless(2)).wait()
        assert eventually(lambda: not model.sitting)

    assert codes_in(second.sound) == foretold(endless(2), stop_below=0, most=60)


def test_a_text_of_which_no_frame_comes_fails() -> None:
    with working(FakeParts(stop_below=1.0)) as engine:
        heard = say(engine, script(1)).wait()

    assert type(heard.error).__name__ == "Mute"
    assert [again for _, again in heard.findings] == [True, True, False]


def test_closing_ends_every_speech_and_every_thread() -> None:
    before = set(threading.enumerate())
    model = FakeModel(seats=1)
    model.gate = threading.Semaphore(0)
    parts = FakeParts(model)
    with working(parts, FakeParts()) as engine:
        heard = [say(engine, script(n)) for n in range(4)]

    assert all(isinstance(one.wait().error, Closed) or one.sound for one in heard)
    assert not model.sitting
    assert not parts.model.sitting
    assert set(threading.enumerate()) <= before
    with pytest.raises(Closed):
        say(engine, script(1))


def test_a_script_tells_nobody_what_it_says() -> None:
    asked: Script = script(1)

    assert repr(asked.chunks[0]) == f"Chunk({len(asked.chunks[0].rows)} rows)"
    assert "array" not in repr(asked)


def test_a_fault_of_our_own_ends_every_speech_and_is_told() -> None:
    parts = FakeParts()
    with working(parts) as engine:
        parts.model.seats = None  # type: ignore[assignment]  # nobody foresees this
        heard = say(engine, script(1)).wait()

        assert isinstance(heard.error, TypeError)
        assert isinstance(engine.died_of, TypeError)
        with pytest.raises(Closed):
            say(engine, script(2))
