"""What a speech has held is gone with it, and does not wait for the collector: an encoder has
threads and memory that the collector does not count."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.audio.pipeline import Pipeline
from router.contract.audio import AudioFormat
from router.testing.scripted import Script, Scripted, Tone
from tests.dispatch.stage import PCM, able, asking, stage


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("leaves", [False, True], ids=["heard to its end", "left"])
@pytest.mark.usefixtures("uncollected")
async def test_nothing_of_a_speech_waits_for_the_collector(leaves: bool, tmp_path: Path) -> None:
    before = {id(one) for one in gc.get_objects() if isinstance(one, Pipeline)}
    voice = Scripted(Script((Tone(2.0, 0.1),)), offers=able(formats=(PCM,)))
    async with stage(tmp_path, voice=voice) as on:
        for _ in range(3):
            async with on.speak(asking(format=AudioFormat("mp3"))) as speech:
                chunks = speech.chunks()
                async for _ in chunks:
                    if leaves:
                        break
                await chunks.aclose()
            del speech, chunks
        pipelines = [one for one in gc.get_objects() if isinstance(one, Pipeline)]
        assert not [one for one in pipelines if id(one) not in before]
