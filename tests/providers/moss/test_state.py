"""What the engine tells of its inside, and what it says of a chunk that it makes again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from providers.moss_tts_nano.engine.pace import WINDOW_S, Pace
from providers.moss_tts_nano.engine.tally import STAGES
from providers.moss_tts_nano.memory import available_bytes, resident_bytes
from providers.moss_tts_nano.prove import PARTS
from router.contract.errors import NotReady
from router.contract.provider import HasState, Provider, ServingPath, State
from router.contract.record import ChunkRegenerated, Event, SpeechDoubted
from router.testing.watch import becomes
from tests.providers.moss.opening import FORMAT, opened, order, ready, said, until_ready

TEXT = "The kettle is on, the door is open, and nobody minds the rain."
MB = 1024 * 1024


def state(provider: Provider) -> State:
    assert isinstance(provider, HasState)
    return provider.state()


async def test_rows_frames_and_stages_are_counted_while_it_speaks_and_after(
    tiny_moss: Path, tmp_path: Path
) -> None:
    async with ready(tiny_moss, tmp_path) as provider:
        assert await becomes(lambda: state(provider).gauges["rows"] == 0, 5)  # the first word's
        before = state(provider)
        async with provider.synthesize(order(TEXT * 20), FORMAT):
            during = state(provider)
        assert await becomes(lambda: state(provider).gauges["speeches"] == 0, 5)
        await said(provider, order(TEXT))
        assert await becomes(lambda: state(provider).gauges["rows"] == 0, 5)
        after = state(provider)

    assert before.gauges["ready"] == before.gauges["start_share"] == 1
    assert during.gauges["rows"] > 0
    assert during.gauges["speeches"] == 1
    assert after.counters["frames"] > during.counters["frames"]
    assert after.gauges["frames_per_second"] > 0
    assert all(after.counters[f"{stage}_seconds"] > 0 for stage in STAGES)


async def test_who_waits_for_a_row_is_told(tiny_moss: Path, tmp_path: Path) -> None:
    async with (
        ready(tiny_moss, tmp_path, rows=1) as provider,
        provider.synthesize(order(TEXT * 20), FORMAT),
    ):
        waiting = asyncio.create_task(said(provider, order(TEXT)))
        assert await becomes(lambda: state(provider).gauges["speeches_waiting"] == 1, 5)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_names_are_the_same_before_a_start_and_after(tiny_moss: Path, tmp_path: Path) -> None:
    async with opened(tmp_path / "nowhere", tmp_path / "cache") as provider:
        without = state(provider)
        with pytest.raises(NotReady) as raised:
            await provider.health()
    async with ready(tiny_moss, tmp_path) as provider:
        there = state(provider)

    assert without.line == str(raised.value)
    assert without.gauges.keys() == there.gauges.keys()
    assert without.counters.keys() == there.counters.keys()
    assert there.facts == dict.fromkeys(PARTS, "shipped: the settings say so")
    assert there.paths == dict.fromkeys(PARTS, ServingPath("reference", "the settings say so"))
    assert there.gauges["load_seconds"] > without.gauges["load_seconds"] == 0


async def test_8_bits_are_told_of_the_parts_that_have_them(tiny_moss: Path, tmp_path: Path) -> None:
    async with opened(tiny_moss, tmp_path, graphs="auto", precision="int8") as provider:
        await until_ready(provider)
        paths = state(provider).paths

    assert paths["language_model"] == paths["fixed_frames"] == ServingPath("int8")
    assert paths["decoder"] == paths["encoder"] == ServingPath("exact")


async def test_a_chunk_that_is_made_again_is_an_event_of_its_own(
    tiny_moss: Path, tmp_path: Path
) -> None:
    events: list[Event] = []
    settings = {"graphs": "shipped", "guards": {"most_frames": 3}, "tries": 3}
    async with opened(tiny_moss, tmp_path, events, **settings) as provider:
        await said(provider, order(TEXT))
        counted = state(provider).counters["chunks_regenerated_too_short"]

    again = [event for event in events if isinstance(event, ChunkRegenerated)]
    assert {(one.provider, one.finding) for one in again} <= {("moss", "too_short")}
    assert counted == len(again)
    assert len([event for event in events if isinstance(event, SpeechDoubted)]) == 1


def test_the_pace_is_that_of_the_last_seconds() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    for _ in range(50):
        pace.count(2)
        now[0] += 0.25
    assert pace.all == 100
    assert pace.per_s() == pytest.approx(8, rel=0.2)
    now[0] += WINDOW_S + 1
    assert pace.per_s() == 0


def test_memory_is_that_of_the_container_where_it_has_less(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9999999 kB\nMemAvailable:  2048000 kB\n")
    nowhere = tmp_path / "nowhere"
    assert available_bytes(nowhere, nowhere) is None
    assert available_bytes(tmp_path, nowhere) == 2_048_000 * 1024

    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text(f"{900 * MB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {100 * MB}\n")
    assert available_bytes(tmp_path, tmp_path) == 2_048_000 * 1024
    (tmp_path / "memory.max").write_text(f"{1000 * MB}\n")
    assert available_bytes(tmp_path, tmp_path) == 200 * MB


def test_this_process_has_some_memory() -> None:
    known = resident_bytes()
    if known is None:
        pytest.skip("only Linux tells it")
    assert 10 * MB < known < 100_000 * MB
