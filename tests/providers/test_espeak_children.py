"""The children may crash, hang and be left at any moment: nobody is hurt and nothing remains."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from providers.espeak import worker
from providers.espeak.pool import Pool
from router.contract.errors import Broken, TimedOut
from router.contract.provider import Provider
from tests.providers.espeak_at_work import (
    PCM,
    STORY,
    audio_of,
    children,
    eventually,
    open_files,
    opened,
    order,
    seconds,
    spoken,
    state,
    told_of,
)


@pytest_asyncio.fixture
async def espeak() -> AsyncIterator[Provider]:
    async with opened() as provider:
        yield provider


@pytest_asyncio.fixture
async def alone() -> AsyncIterator[Provider]:
    """A provider with one child, which has started."""
    async with opened(children=1) as provider:
        await provider.health()
        yield provider


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child is waited for as long as a busy machine may need."""
    monkeypatch.setattr(worker, "_POLITE_S", 5.0)


async def test_a_killed_child_costs_one_error_and_is_replaced(alone: Provider) -> None:
    length = await seconds(alone, order())
    for _ in range(10):
        (pid,) = children()
        async with alone.synthesize(order(STORY), PCM) as stream:
            await anext(stream.chunks)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(Broken):
                await audio_of(stream)
        assert await seconds(alone, order()) == pytest.approx(length, rel=0.05)
    assert len(children()) == 1


async def test_a_child_killed_while_idle_costs_nothing(alone: Provider) -> None:
    for _ in range(5):
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda pid=pid: state(pid) == "Z")  # type: ignore[misc]
        await asyncio.sleep(0)
        assert await seconds(alone, order()) > 1
        await eventually(lambda pid=pid: pid not in children())  # type: ignore[misc]


async def test_a_hanging_child_is_left_quickly_and_replaced(alone: Provider) -> None:
    (pid,) = children()

    async def speak_while_stopped() -> None:
        async with alone.synthesize(order(STORY), PCM) as stream:
            os.kill(pid, signal.SIGSTOP)
            async with asyncio.timeout(0.1):
                await audio_of(stream)

    with pytest.raises(TimeoutError):
        await speak_while_stopped()
    begun = time.monotonic()
    assert await seconds(alone, order()) > 1
    assert time.monotonic() - begun < 1
    await eventually(lambda: pid not in children())


async def test_leaving_a_hanging_child_takes_a_fifth_of_a_second(alone: Provider) -> None:
    (pid,) = children()
    async with alone.synthesize(order(STORY), PCM):
        os.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
    assert 0.15 < time.monotonic() - begun < 1
    await eventually(lambda: not children())


async def test_leaving_early_stops_the_utterance_and_keeps_the_child(
    alone: Provider, patient: None
) -> None:
    before = children()
    took_s = []
    dice = random.Random(1)
    for _ in range(150):
        async with alone.synthesize(order(STORY), PCM) as stream:
            for _ in range(dice.choice([0, 0, 1, 2, 5, 20])):
                await anext(stream.chunks)
            begun = time.monotonic()
        took_s.append(time.monotonic() - begun)
    assert statistics.median(took_s) < 0.05  # 4 ms at most on an idle machine
    assert max(took_s) < 2
    assert children() == before
    assert 1.2 < await seconds(alone, order()) < 3


async def test_a_stop_that_races_with_the_end_never_spoils_the_next_answer(
    alone: Provider, patient: None
) -> None:
    before = children()
    length = await seconds(alone, order("Yes."))
    dice = random.Random(2)
    for _ in range(150):
        async with alone.synthesize(order("No."), PCM) as stream:
            for _ in range(dice.randint(0, 1)):
                await anext(stream.chunks)
            await asyncio.sleep(dice.random() * 0.004)
        assert await seconds(alone, order("Yes.")) == pytest.approx(length, rel=0.15)
    assert children() == before


async def test_a_cancel_before_the_first_chunk_leaves_all_clean(espeak: Provider) -> None:
    await espeak.health()
    dice = random.Random(3)
    for _ in range(150):
        speaking = asyncio.create_task(spoken(espeak, order(STORY)))
        await asyncio.sleep(dice.random() * 0.006)
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
    lengths = await asyncio.gather(*(seconds(espeak, order()) for _ in range(6)))
    assert all(1.2 < length < 3 for length in lengths)
    assert len(children()) <= 2


async def test_a_cancel_while_a_child_starts_leaves_none_behind() -> None:
    async with opened() as espeak:
        for pause in (0, 0.001, 0.005, 0.01, 0.02):
            speaking = asyncio.create_task(spoken(espeak, order()))
            await asyncio.sleep(pause)
            speaking.cancel()
            await asyncio.wait([speaking])
        assert await seconds(espeak, order()) > 1
        await eventually(lambda: len(children()) <= 2)


async def test_a_second_cancel_while_a_child_is_stopped_kills_it(alone: Provider) -> None:
    (pid,) = children()
    speaking = asyncio.create_task(spoken(alone, order(STORY)))
    await asyncio.sleep(0.02)
    os.kill(pid, signal.SIGSTOP)
    for _ in range(2):
        speaking.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await speaking
    await eventually(lambda: pid not in children())
    assert await seconds(alone, order()) > 1


async def test_more_callers_than_children_wait_for_their_turn(espeak: Provider) -> None:
    texts = ["word " * (5 * count) for count in range(1, 13)]
    lengths = await asyncio.gather(*(seconds(espeak, order(text)) for text in texts))
    assert lengths == sorted(lengths)
    assert len(children()) == 2


async def test_a_caller_that_waits_can_give_up(alone: Provider) -> None:
    async with alone.synthesize(order(STORY), PCM):
        waiting = asyncio.create_task(spoken(alone, order()))
        await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await seconds(alone, order()) > 1


async def test_a_sleeping_reader_holds_only_its_own_child(espeak: Provider) -> None:
    async with espeak.synthesize(order(STORY), PCM) as stream:
        assert await seconds(espeak, order()) > 1
        assert len(await audio_of(stream)) > 150 * 44100


async def test_a_stream_that_was_left_takes_nothing_of_the_next(alone: Provider) -> None:
    async with alone.synthesize(order(STORY), PCM) as stream:
        await anext(stream.chunks)
    async with alone.synthesize(order(STORY), PCM):
        assert [chunk async for chunk in stream.chunks] == []


async def test_leaving_under_a_reader_ends_the_reader(alone: Provider) -> None:
    (pid,) = children()
    async with alone.synthesize(order(STORY), PCM) as stream:
        os.kill(pid, signal.SIGSTOP)
        reading = asyncio.create_task(audio_of(stream))
        await asyncio.sleep(0.05)
    with pytest.raises(Broken):
        await reading
    assert await seconds(alone, order()) > 1


async def test_nothing_is_left_after_close() -> None:
    files, tasks = open_files(), len(asyncio.all_tasks())
    async with opened(children=3) as espeak:
        await asyncio.gather(*(seconds(espeak, order()) for _ in range(6)))
        assert len(children()) == 3
        assert open_files() == files + 3
    assert not children()
    assert open_files() == files
    assert len(asyncio.all_tasks()) == tasks


async def test_closing_ends_a_speech_that_is_still_going_on() -> None:
    async with opened() as espeak:
        speech = espeak.synthesize(order(STORY), PCM)
        stream = await speech.__aenter__()
    with pytest.raises(Broken):
        await audio_of(stream)
    await speech.__aexit__(None, None, None)
    assert not children()


async def test_nothing_is_left_after_much_trouble() -> None:
    files = open_files()
    dice = random.Random(4)
    async with opened() as espeak:
        for _ in range(60):
            speaking = asyncio.create_task(spoken(espeak, order(STORY)))
            await asyncio.sleep(dice.random() * 0.03)
            running = [pid for pid in children() if state(pid) != "Z"]
            if running and dice.random() < 0.4:
                os.kill(dice.choice(running), dice.choice([signal.SIGKILL, signal.SIGABRT]))
            speaking.cancel()
            await asyncio.wait([speaking])
        assert await seconds(espeak, order()) > 1
    assert not children()
    assert open_files() == files


async def test_health_starts_a_child_and_finds_one_that_hangs(espeak: Provider) -> None:
    await espeak.health()
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(TimedOut):
        await espeak.health()
    await espeak.health()
    assert pid not in children()


async def test_health_does_not_wait_for_those_who_speak(alone: Provider) -> None:
    async with alone.synthesize(order(STORY), PCM):
        async with asyncio.timeout(0.5):
            await alone.health()


async def test_a_child_that_cannot_start_is_broken_and_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "_START_S", 0.2)
    hangs = "import time; time.sleep(60)  # espeak"
    for command in (["/nonexistent"], [sys.executable, "-c", "1"], [sys.executable, "-c", hangs]):
        pool = Pool(command, 1)
        with pytest.raises(Broken):
            async with pool.worker():
                pass
        await pool.close()
    assert not children()


async def test_no_text_and_no_secret_reaches_the_process_list(
    monkeypatch: pytest.MonkeyPatch, alone: Provider
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    async with opened(children=1) as espeak, espeak.synthesize(order(STORY), PCM):
        for pid in children():
            seen = told_of(pid, "cmdline") + told_of(pid, "environ")
            assert "child.py" in seen
            assert "best of times" not in seen
            assert "secret" not in seen


async def test_a_child_leaves_no_core_and_opens_a_session_of_its_own(alone: Provider) -> None:
    (pid,) = children()
    limits = [line.split() for line in told_of(pid, "limits").splitlines()]
    assert ["Max", "core", "file", "size", "0", "0", "bytes"] in limits
    assert os.getsid(pid) == pid


async def test_children_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    async with opened() as espeak:
        await spoken(espeak, order())
        if "ja" not in espeak.offers()["espeak-ng"].unreadable:
            await spoken(espeak, order("東京です", "ja"))
    assert capfd.readouterr() == ("", "")


PARENT = """
import asyncio
from tests.providers.espeak_at_work import PCM, STORY, children, opened, order

async def main():
    async with opened() as espeak, espeak.synthesize(order(STORY), PCM):
        await espeak.health()
        print(*children(), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("hangs", [False, True], ids=["speaking and idle", "stopped"])
async def test_children_die_with_their_parent(hangs: bool) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT), stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    if hangs:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
    parent.kill()
    await parent.wait()
    await eventually(lambda: all(state(pid) in ("", "Z") for pid in pids))
