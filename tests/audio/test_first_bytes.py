"""After how much audio an encoder gives its first bytes: of audio, not of time.

| format    | waits for             | 48 kHz | 44.1 kHz | 24 kHz | 22.05 kHz | 16 kHz | 8 kHz  |
|-----------|-----------------------|--------|----------|--------|-----------|--------|--------|
| wav, pcm  | one sample            |      0 |        0 |      0 |         0 |      0 |      0 |
| opus, ogg | one frame, 20 ms      |  20 ms |        - |  20 ms |         - |  20 ms |  20 ms |
| flac      | one block of 576      |  12 ms |    13 ms |  24 ms |     26 ms |  36 ms |  72 ms |
| mp3       | 2304 samples, or 1152 |  48 ms |    52 ms |  48 ms |     52 ms |  72 ms | 144 ms |
| aac       | two frames of 1024    |  43 ms |    46 ms |  85 ms |     93 ms | 128 ms | 256 ms |

A frame of mp3 below 32 kHz has 576 samples, and LAME hears one ahead; AAC's frames overlap. So mp3
below 12 kHz and aac below 22.05 kHz cannot keep the 100 ms: they are made where a caller asks for
such a rate, and never because a speaker has it. A resampler before them holds back some more: 20 ms
between 44.1 and 48 kHz, 40 ms at 24 and 22.05 kHz, 160 ms at 8 kHz.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from router.audio.codecs import kept, legal
from router.audio.encode import ENCODERS
from router.audio.pipeline import Pipeline
from router.contract.audio import ENCODINGS, AudioFormat, Encoding
from tests.audio.glide import glide, pcm

PROMISED_MS = 100
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

_PHYSICAL_MS: Mapping[tuple[Encoding, int], float] = {
    **{("aac", rate): 2_048_000 / rate for rate in (8_000, 11_025, 12_000, 16_000)},
    **{("mp3", rate): 1_152_000 / rate for rate in (8_000, 11_025)},
}
"""What these need instead, in milliseconds of audio."""

_AT_MOST_MS: Mapping[tuple[Encoding, int], float] = {
    ("opus", 48_000): 20,
    ("ogg", 24_000): 20,
    ("flac", 48_000): 12,
    ("flac", 24_000): 24,
    ("flac", 8_000): 72,
    ("mp3", 48_000): 48,
    ("mp3", 24_000): 48,
    ("mp3", 44_100): 52.3,
    ("aac", 48_000): 42.7,
    ("aac", 24_000): 85.4,
    ("aac", 22_050): 92.9,
}
"""What the table above says."""


def first_ms(encoding: Encoding, rate: int, channels: int) -> float:
    """Milliseconds of audio that went in when the first bytes came out."""
    encoder = ENCODERS[encoding](AudioFormat(encoding, rate, channels))
    sound = pcm(glide(rate, rate, channels))
    step = channels * 2
    for at in range(0, len(sound), step):
        if encoder.feed(sound[at : at + step]):
            return (at + step) / step / rate * 1000
    return float("inf")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_first_bytes_come_within_100_ms_of_audio(encoding: Encoding, channels: int) -> None:
    for rate in RATES:
        if legal(encoding, rate, channels) != (rate, channels):
            continue
        limit = _PHYSICAL_MS.get((encoding, rate), PROMISED_MS)
        assert first_ms(encoding, rate, channels) <= limit, f"{encoding} at {rate} Hz"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_as_the_speaker_has_it_no_format_takes_longer(encoding: Encoding) -> None:
    for rate in RATES:
        chosen, channels = kept(encoding, rate, 1)
        assert chosen >= rate
        assert first_ms(encoding, chosen, channels) <= PROMISED_MS, f"{encoding} at {rate} Hz"


@pytest.mark.parametrize(("encoding", "rate"), _AT_MOST_MS)
def test_each_format_is_as_quick_as_is_told(encoding: Encoding, rate: int) -> None:
    assert first_ms(encoding, rate, 1) <= _AT_MOST_MS[encoding, rate]


@pytest.mark.parametrize(
    ("source", "target", "most_ms"),
    [(44_100, 48_000, 25), (48_000, 24_000, 45), (22_050, 24_000, 45), (8_000, 24_000, 165)],
)
def test_a_resampler_holds_back_no_more_than_is_told(
    source: int, target: int, most_ms: float
) -> None:
    pipeline = Pipeline(AudioFormat("pcm", target, 1))
    pipeline.begin(AudioFormat("pcm", source, 1))
    sound = pcm(glide(source, source, 1))
    step = source // 1000 * 2
    needed = next(at for at in range(0, len(sound), step) if pipeline.feed(sound[at : at + step]))
    assert (needed + step) / 2 / source * 1000 <= most_ms
