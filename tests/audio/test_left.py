"""What is left in mid-speech is gone at once: it does not wait for the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.audio.pipeline import Pipeline, Shaping
from router.contract.audio import ENCODINGS, AudioFormat, Encoding
from tests.audio.glide import glide, pcm

_TASKS = Path("/proc/self/task")
_SOUND = pcm(glide(12_000, 24_000, 1))


def threads() -> int:
    """Of this process, also those that are FFmpeg's own."""
    return sum(1 for _ in _TASKS.iterdir())


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """The server collects seldom: what lies in a circle lies there for long."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left(encoding: Encoding, shaping: Shaping | None = None) -> None:
    pipeline = Pipeline(AudioFormat(encoding), shaping=shaping)
    pipeline.begin(AudioFormat("pcm", 24_000, 1))
    assert pipeline.feed(_SOUND) or shaping


@pytest.mark.skipif(not _TASKS.is_dir(), reason="threads are counted in Linux's /proc")
@pytest.mark.parametrize("speed", [1.0, 1.5])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_speech_that_is_left_keeps_no_thread(encoding: Encoding, speed: float) -> None:
    left(encoding, Shaping(speed=speed))  # libraries may start threads of their own, once
    before = threads()
    for _ in range(5):
        left(encoding, Shaping(speed=speed))
    assert threads() <= before
