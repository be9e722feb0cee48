"""PCM at another rate and channel count: nothing is lost, nothing clips."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.audio.pcm import Aligner, Converter, converter, louder
from tests.audio.made import cut

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def tone(frames: int, rate: int, channels: int, peak: int = 12_000) -> bytes:
    wave = np.round(peak * np.sin(2 * np.pi * 220 * np.arange(frames) / rate)).astype("<i2")
    return np.repeat(wave[:, None], channels, axis=1).tobytes()


def through(machine: Aligner | Converter, body: bytes, sizes: list[int]) -> bytes:
    return b"".join(machine.feed(piece) for piece in cut(body, sizes)) + machine.finish()


@settings(max_examples=60, deadline=None)
@given(
    rates=st.tuples(st.sampled_from(RATES), st.sampled_from(RATES)),
    channels=st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2])),
    frames=st.integers(1, 6_000),
    sizes=st.lists(st.integers(1, 3_000), max_size=20),
)
def test_the_length_is_that_of_the_other_rate(
    rates: tuple[int, int], channels: tuple[int, int], frames: int, sizes: list[int]
) -> None:
    (rate, to_rate), (present, wanted) = rates, channels
    body = tone(frames, rate, present)
    out = through(converter((rate, present), (to_rate, wanted)), body, sizes)
    assert len(out) % (2 * wanted) == 0
    assert abs(len(out) / 2 / wanted - frames * to_rate / rate) <= 1


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 900), max_size=40))
def test_cuts_change_nothing_that_can_be_heard(sizes: list[int]) -> None:
    body = tone(4_000, 24_000, 1)
    whole, pieces = (
        np.frombuffer(through(Converter((24_000, 1), (48_000, 2)), body, cuts), "<i2").astype(int)
        for cuts in ([], sizes)
    )
    assert whole.shape == pieces.shape
    assert np.abs(whole - pieces).max() <= 2, "soxr rounds with dither: steps of 65,536"


def test_a_tone_keeps_its_pitch_and_its_level() -> None:
    out = through(Converter((24_000, 1), (44_100, 1)), tone(24_000, 24_000, 1), [])
    samples = np.frombuffer(out, "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples))
    assert abs(int(spectrum.argmax()) - 220) <= 1
    assert np.abs(samples[4_000:-4_000]).max() == pytest.approx(12_000, rel=0.01)


def test_mixing_down_averages_and_mixing_up_copies() -> None:
    loud = np.array([[32_767, 32_767], [-32_768, -32_768], [100, -100], [3, 0]], "<i2").tobytes()
    mono = through(Converter((24_000, 2), (24_000, 1)), loud, [1] * 20)
    assert np.frombuffer(mono, "<i2").tolist() == [32_767, -32_768, 0, 1]
    stereo = through(Converter((24_000, 1), (24_000, 2)), mono, [3])
    assert np.frombuffer(stereo, "<i2").reshape(-1, 2)[:, 0].tolist() == [32_767, -32_768, 0, 1]
    assert stereo[0::4] == stereo[2::4]


def test_full_scale_survives_resampling_without_turning_over() -> None:
    square = np.where(np.arange(24_000) % 200 < 100, 32_767, -32_768).astype("<i2")
    out = np.frombuffer(
        through(Converter((24_000, 1), (48_000, 1)), square.tobytes(), []), "<i2"
    ).astype(int)
    middle = out[1_000:40_000]
    assert np.abs(np.diff(middle)).max() < 65_000, "no sample jumps from one rail to the other"


def test_a_frame_that_was_never_completed_is_no_audio() -> None:
    assert through(Aligner(2), b"abcdefg", [1, 1, 3]) == b"abcd"
    assert len(through(Converter((24_000, 2), (24_000, 1)), b"\0" * 7, [2, 2])) == 2


def test_equal_formats_need_no_converter() -> None:
    assert isinstance(converter((24_000, 1), (24_000, 1)), Aligner)
    assert isinstance(converter((24_000, 1), (24_000, 2)), Converter)


def test_more_gain_than_there_is_room_for_is_cut_off_and_does_not_turn_over() -> None:
    samples = array.array("h", [-32_768, -20_000, 0, 20_000, 32_767])
    grown = array.array("h", louder(samples.tobytes(), 12.0))
    assert grown.tolist() == [-32_768, -32_768, 0, 32_767, 32_767]
