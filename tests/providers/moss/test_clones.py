"""Voice samples: what is taken of them, and how often they are encoded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from providers.moss_tts_nano.clips import useful
from providers.moss_tts_nano.clones import Clones
from providers.moss_tts_nano.parts import Encoder, Floats, Ints
from router.contract.audio import Clip
from router.contract.errors import Broken, Busy, Refused
from router.testing.watch import becomes
from tests.providers.moss.opening import clip_of, voice_sample

RATE = 48_000


class CountingEncoder:
    """Gives a code for each frame, and counts; it may be held up, or fail."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False

    def encode(self, samples: Floats) -> Ints:
        self.gate.wait(10)
        self.lengths.append(samples.shape[1])
        if self.fails:
            raise RuntimeError("what the runtime says may hold anything")
        frames = samples.shape[1] // 3840
        return np.full((frames, 16), len(self.lengths), dtype=np.int32)


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
async def clones(encoder: CountingEncoder) -> AsyncIterator[Clones]:
    def the_encoder() -> Encoder:
        return encoder

    with ThreadPoolExecutor(1) as encoding, ThreadPoolExecutor(1) as hashing:
        made = Clones(the_encoder, RATE, most=2, encoding=encoding, hashing=hashing)
        yield made
        encoder.gate.set()
        await made.close()


@pytest.mark.parametrize(
    ("seconds", "least_s", "most_s"),
    [(3, 2.4, 3.1), (9, 8.4, 9.1), (15, 14.0, 15.1), (20, 10.0, 15.0), (58, 10.0, 15.0)],
)
def test_five_to_fifteen_seconds_are_taken_of_a_sample(
    seconds: float, least_s: float, most_s: float
) -> None:
    part = useful(voice_sample(seconds), RATE)

    assert least_s <= part.shape[1] / RATE <= most_s
    assert part.dtype == np.float32


def test_a_long_sample_is_cut_in_a_pause() -> None:
    samples = voice_sample(30)  # it pauses from 11.7 s to 12 s, and from 14.7 s to 15 s

    end_s = useful(samples, RATE).shape[1] / RATE

    assert 11.7 <= end_s <= 12.0 or 14.7 <= end_s <= 15.0


def test_silence_before_and_after_is_left_out() -> None:
    speech = voice_sample(4)
    silence = np.zeros((2, 5 * RATE), dtype=np.float32)

    part = useful(np.concatenate([silence, speech, silence], axis=1), RATE)

    assert 3.5 <= part.shape[1] / RATE <= 4.3


def test_a_quiet_sample_is_raised_and_a_loud_one_stays() -> None:
    quiet, loud = useful(voice_sample(4, loudness=0.004), RATE), voice_sample(4, loudness=0.3)

    assert np.sqrt((quiet**2).mean()) > 4 * np.sqrt((voice_sample(4, loudness=0.004) ** 2).mean())
    assert np.abs(quiet).max() <= 0.96
    assert useful(loud, RATE).max() == pytest.approx(loud.max())


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((2, 5 * RATE), dtype=np.float32),
        np.zeros((2, 10), dtype=np.float32),
        voice_sample(5, loudness=0.0005),
        voice_sample(0.6),
    ],
    ids=["silent", "of no length", "nearly silent", "too short"],
)
def test_a_sample_that_says_nothing_of_a_voice_is_refused(samples: Floats) -> None:
    with pytest.raises(Refused, match="sample"):
        useful(samples, RATE)


async def test_a_sample_is_encoded_once_however_often_it_comes(
    clones: Clones, encoder: CountingEncoder
) -> None:
    samples = voice_sample(6)

    voices = [await clones.voice(clip_of(samples, b"one")) for _ in range(3)]

    assert len(encoder.lengths) == 1
    assert len({id(voice.codes) for voice in voices}) == 1
    other = await clones.voice(clip_of(samples, b"two"))
    assert other.key != voices[0].key


async def test_the_same_sample_at_once_is_encoded_once(
    clones: Clones, encoder: CountingEncoder
) -> None:
    encoder.gate.clear()
    clip = clip_of(voice_sample(6))
    waiting = [asyncio.create_task(clones.voice(clip)) for _ in range(5)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()  # whoever leaves takes nothing from the others
    await asyncio.sleep(0)
    encoder.gate.set()

    voices = await asyncio.gather(*waiting[1:])

    assert len(encoder.lengths) == 1
    assert len({id(voice) for voice in voices}) == 1


async def test_only_so_many_samples_are_remembered(
    clones: Clones, encoder: CountingEncoder
) -> None:
    clips = [clip_of(voice_sample(2), bytes([n])) for n in range(3)]
    for at in (0, 1, 0, 2, 0, 1):
        await clones.voice(clips[at])

    assert len(encoder.lengths) == 4  # 1 was the oldest when 2 came


async def test_too_many_samples_at_once_are_turned_away(
    clones: Clones, encoder: CountingEncoder
) -> None:
    encoder.gate.clear()
    clips = [clip_of(voice_sample(2), bytes([n])) for n in range(9)]
    waiting = [asyncio.create_task(clones.voice(clip)) for clip in clips[:8]]
    assert await becomes(lambda: len(clones._being_encoded) == 8, 5)
    with pytest.raises(Busy):
        await clones.voice(clips[8])
    encoder.gate.set()
    await asyncio.gather(*waiting)


async def test_a_codec_that_fails_is_told_without_its_words(
    clones: Clones, encoder: CountingEncoder
) -> None:
    encoder.fails = True
    with pytest.raises(Broken) as raised:
        await clones.voice(clip_of(voice_sample(2)))
    assert "anything" not in str(raised.value)
    encoder.fails = False
    voice = await clones.voice(clip_of(voice_sample(2)))
    assert len(voice.codes) > 10


async def test_a_sample_that_nobody_decoded_is_refused(clones: Clones) -> None:
    with pytest.raises(Refused):
        await clones.voice(Clip(data=b"RIFF", container="wav"))


async def test_codes_are_in_no_repr(clones: Clones) -> None:
    voice = await clones.voice(clip_of(voice_sample(2)))

    assert repr(voice) == f"Reference(None, {len(voice.codes)} frames)"
