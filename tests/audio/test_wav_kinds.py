"""WAVs whose samples are not 16-bit: as some servers write them."""

from __future__ import annotations

import array
import random

import pytest

from router.audio.wav import WavReader
from tests.audio.made import encoded


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_samples_of_every_usual_kind_become_16_bit_ones(codec: str) -> None:
    plain = encoded("pcm", 24_000, 1)
    chance = random.Random(codec)
    file, reader, out = encoded("wav", 24_000, 1, "-c:a", codec), WavReader(), b""
    while file:
        cut = chance.randint(1, 700)
        out += reader.feed(file[:cut])
        file = file[cut:]
    reader.finish()

    wanted, given = array.array("h", plain), array.array("h", out)
    assert len(given) == len(wanted)
    step = 256 if codec == "pcm_u8" else 2
    assert max(abs(a - b) for a, b in zip(wanted, given, strict=True)) <= step
