"""The shipped codec graphs behind the promises, against the plain forward of their weights."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from providers.moss_tts_nano.parts import Decoder, Floats, Ints
from tests.providers.moss.tiny import Tiny

NEAR = 1e-4
FRAMES = 24
"""Longer than the tiny codec's longest window, which is 20 steps at 4 a frame."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"))


def streamed(decoder: Decoder, codes: Ints, *sizes: int) -> Floats:
    """Decoded in pieces of these sizes, and the rest at once."""
    state, at, sound = decoder.start(), 0, []
    for size in (*sizes, len(codes) - sum(sizes)):
        sound.append(decoder.decode(state, codes[at : at + size]))
        at += size
    return np.concatenate(sound, axis=1)


def test_codes_become_the_samples_of_the_plain_forward(tiny: Tiny) -> None:
    codes = tiny.codes(FRAMES)
    full = tiny.reference.full_decoder().decode(codes)
    assert full.dtype == np.float32
    assert full.shape == (tiny.shape.channels, FRAMES * tiny.shape.frame_samples)
    assert np.abs(full - tiny.codec.decode(codes)).max() < NEAR


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 2, 4, 8), (7,), (FRAMES - 1,), (3,) * 7])
def test_frames_in_any_pieces_give_the_same_sound_as_all_at_once(
    tiny: Tiny, sizes: tuple[int, ...]
) -> None:
    codes = tiny.codes(FRAMES, seed=len(sizes))
    full = tiny.reference.full_decoder().decode(codes)
    assert np.abs(streamed(tiny.reference.decoder(), codes, *sizes) - full).max() < 1e-5


def test_streams_on_one_decoder_do_not_hear_each_other(tiny: Tiny) -> None:
    decoder = tiny.reference.decoder()
    one, other = tiny.codes(6, seed=1), tiny.codes(6, seed=2)
    expected = streamed(decoder, one, 2, 2)
    first, second = decoder.start(), decoder.start()
    sound = []
    for at in (0, 2, 4):
        sound.append(decoder.decode(first, one[at : at + 2]))
        decoder.decode(second, other[at : at + 2])
    assert (np.concatenate(sound, axis=1) == expected).all()


def clip(tiny: Tiny, samples: int) -> Floats:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (tiny.shape.channels, samples))
    return noise.astype(np.float32)


@pytest.mark.parametrize("beyond", [0, 1, 3839])
def test_a_clip_becomes_the_codes_of_the_plain_forward_whatever_its_length(
    tiny: Tiny, beyond: int
) -> None:
    samples = clip(tiny, 5 * tiny.shape.frame_samples + beyond)
    codes = tiny.reference.encoder().encode(samples)
    assert codes.dtype == np.int32
    assert codes.shape == (5, tiny.shape.codebooks)
    assert (codes == tiny.codec.encode(samples)).all()


@pytest.mark.parametrize("samples", [0, 1, 3839])
def test_less_than_a_frame_is_no_code(tiny: Tiny, samples: int) -> None:
    codes = tiny.reference.encoder().encode(clip(tiny, samples))
    assert codes.shape == (0, tiny.shape.codebooks)


def test_several_threads_may_use_one_encoder_at_once(tiny: Tiny) -> None:
    encoder, samples = tiny.without().encoder(), clip(tiny, 4 * tiny.shape.frame_samples)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(encoder.encode, [samples] * 8))
    assert all((codes == found[0]).all() for codes in found)
