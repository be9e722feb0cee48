"""Graphs are built and proven in a process of its own: whatever becomes of it, we go on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from providers.moss_tts_nano import apart, fast, starting
from providers.moss_tts_nano.layout import Layout, find
from providers.moss_tts_nano.prove import INT8, PARTS, Verdict
from router.contract.errors import Broken, NotReady
from router.contract.provider import HasState, Interrupted
from tests.providers.moss.opening import opened, order, said, until_ready
from tests.soak.outside import can_count, children

pytestmark = pytest.mark.skipif(not can_count(), reason="children are counted in Linux's /proc")


class Waiting:
    """Whoever waits for it. At the first word of `stage` he sends a signal to the process, or has
    enough of it."""

    def __init__(self, stage: str = "", act: signal.Signals | None = None) -> None:
        self.stages: list[str] = []
        self.is_stopped = False
        self._stage, self._act = stage, act
        self._others = children(os.getpid())

    def progress(self, stage: str, done: int, total: int, /) -> None:
        self.stages.append(stage)
        if stage != self._stage:
            return
        if self._act is None:
            self.is_stopped = True
        else:
            for child in children(os.getpid()) - self._others:
                os.kill(child, self._act)

    def stopped(self) -> bool:
        return self.is_stopped


@pytest.fixture
def layout(tiny_moss: Path) -> Layout:
    return find(tiny_moss)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = children(os.getpid()), set(threading.enumerate())
    yield
    assert children(os.getpid()) <= before[0]
    assert set(threading.enumerate()) <= before[1]


def test_it_tells_how_far_it_is_and_is_found_again(layout: Layout, tmp_path: Path) -> None:
    first, second = Waiting(), Waiting()
    made = fast.made(layout, tmp_path, "exact", 1, first)
    found = fast.made(layout, tmp_path, "exact", 1, second)

    assert made.proven == found.proven == set(PARTS)
    assert set(first.stages) == {"building", "proving"}
    assert second.stages == []


def test_who_stops_it_ends_it(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fast.made(layout, tmp_path, "exact", 1, Waiting("proving"))


@pytest.mark.parametrize(
    ("act", "why"), [(signal.SIGKILL, "memory runs out"), (signal.SIGSEGV, "signal 11")]
)
def test_a_process_that_dies_is_told_in_a_line(
    layout: Layout, tmp_path: Path, act: signal.Signals, why: str
) -> None:
    with pytest.raises(Broken, match=why):
        fast.made(layout, tmp_path, "exact", 1, Waiting("proving", act))


def test_a_cache_that_cannot_be_written_is_told_in_a_line(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Broken, match="cannot be kept in"):
        fast.made(layout, tmp_path / "file" / "graphs", "exact", 1, Waiting())


def test_what_failed_on_the_way_is_looked_at_again_and_the_rest_is_not(
    layout: Layout, tmp_path: Path
) -> None:
    fast.made_here(layout, tmp_path, "exact", (1, 1), Waiting())
    (proof,) = tmp_path.glob("*/proof.json")
    known = msgspec.json.decode(proof.read_bytes(), type=list[Verdict])
    proof.write_bytes(msgspec.json.encode([one for one in known if one.part != "decoder"]))

    waiting = Waiting()
    made = fast.made(layout, tmp_path, "exact", 1, waiting)

    assert made.proven == set(PARTS)
    assert waiting.stages == ["proving", "proving"]
    assert "building" not in waiting.stages


def test_where_8_bits_are_too_far_smaller_blocks_are_tried_and_that_is_remembered(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = msgspec.structs.replace(INT8, hidden_snr_db=200.0)
    monkeypatch.setattr(fast, "INT8", strict)

    way, verdicts = fast.made_here(layout, tmp_path, "int8", (1, 1), Waiting())
    found = fast.made(layout, tmp_path, "int8", 1, Waiting("proving"))

    assert way == found.way == "int8-blocks"
    assert {one.part for one in verdicts if not one.proven} == {"language_model"}
    assert found.verdicts == verdicts


def test_8_bits_that_are_near_are_tried_once(layout: Layout, tmp_path: Path) -> None:
    way, _ = fast.made_here(layout, tmp_path, "int8", (1, 1), Waiting())

    assert way == "int8"
    assert len(list(tmp_path.glob("*/proof.json"))) == 1


async def test_without_faster_graphs_the_shipped_ones_speak_and_say_why(
    tiny_moss: Path, tmp_path: Path
) -> None:
    (tmp_path / "graphs").write_text("in the way")
    async with opened(tiny_moss, tmp_path) as provider:
        await until_ready(provider)
        sound = await said(provider, order())
        assert isinstance(provider, HasState)
        told = provider.state()

    assert sound
    assert "shipped" in told.line
    assert all("cannot be kept" in why for why in told.facts.values())


async def test_a_model_that_does_not_fit_into_memory_is_not_loaded(
    tiny_moss: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "available_bytes", lambda: 1000)
    async with opened(tiny_moss, tmp_path, graphs="shipped") as provider:
        with pytest.raises(NotReady, match="of memory"):
            await provider.health()


def test_the_process_gets_no_key_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "sk-secret" not in apart.environment().values()
