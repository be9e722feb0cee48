"""Chooses what the models are given to say, decode and encode when they are held against each
other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.parts import Ints, Shape
from providers.moss_tts_nano.proof.trace import Probe

_SEED = 20261121
_TOKENS = 24
"""A sentence, where the model brings none."""
_VOICE_FRAMES = 40
_FIRST_PIECE = 16
"""Token ids below are control pieces."""
_PIECES = (1, 2, 4, 8, 8, 3, 1, 12)
"""Frames that go into a decoder together: those of the cadence, and rests of any length."""


def probes(layout: Layout) -> tuple[Probe, ...]:
    """Four of them, with short and long voices and texts; two sampled and two greedy."""
    chance = np.random.default_rng(_SEED)
    sampled: Mode = "fixed" if "local_fixed_sampled_frame" in layout.graphs else "full"
    voices, texts = _voices(layout, chance), _texts(layout, chance)
    modes: tuple[Mode, ...] = (sampled, "greedy", sampled, "greedy")
    return tuple(
        Probe(voices[at % len(voices)], texts[at % len(texts)], mode, seed=at)
        for at, mode in enumerate(modes)
    )


def _voices(layout: Layout, chance: np.random.Generator) -> list[Ints]:
    """The default one, the shortest and the longest."""
    codes = [
        np.array(voice.prompt_audio_codes, dtype=np.int32)
        for voice in layout.manifest.builtin_voices
        if voice.prompt_audio_codes
    ]
    if not codes:
        return [random_codes(layout.shape, _VOICE_FRAMES, chance)]
    return [codes[0], min(codes, key=len), max(codes, key=len)]


def _texts(layout: Layout, chance: np.random.Generator) -> list[Sequence[int]]:
    own = [sample.text_token_ids for sample in layout.manifest.text_samples]
    found: list[Sequence[int]] = [tokens for tokens in own if tokens]
    made = chance.integers(_FIRST_PIECE, layout.shape.vocabulary, _TOKENS)
    return [*found, [int(token) for token in made]]


def random_codes(shape: Shape, frames: int, chance: np.random.Generator) -> Ints:
    """int32 [frames, codebooks]"""
    return chance.integers(0, shape.codebook_size, (frames, shape.codebooks), dtype=np.int32)


def codes_to_decode(spoken: Sequence[Ints], shape: Shape, frames: int) -> Ints:
    """Frames that were spoken, then noise up to `frames` of them: longer than any window."""
    noise = random_codes(shape, frames, np.random.default_rng(_SEED))
    return np.concatenate([*spoken, noise])[:frames]


def pieces(frames: int, begin: int = 0) -> Iterator[slice]:
    """Ragged pieces of so many frames, in order; `begin` shifts the pattern."""
    at = 0
    while at < frames:
        until = min(at + _PIECES[begin % len(_PIECES)], frames)
        yield slice(at, until)
        at, begin = until, begin + 1
