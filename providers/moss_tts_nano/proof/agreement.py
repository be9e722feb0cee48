"""Measures how far two models agree, and tells a number on a border from a fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from providers.moss_tts_nano.parts import Draws, Floats, Frames, FrameSampler, Ints
from providers.moss_tts_nano.proof.trace import Trace

TIE = 2e-5
"""How far a random number is moved to see whether it lay on a border between two codes. Sums of
float32 in another order move borders by a tenth of that."""
TIE_NOISE = 1e-5
"""The same for a greedy frame, whose hidden state is shaken by this share of its size."""
_SHAKES = 8


class Tally(msgspec.Struct, frozen=True):
    """Frames that were compared. Codes count up to the first that differs, for what follows it was
    chosen in other circumstances."""

    equal: int = 0
    tied: int = 0
    """They differ where the shipped model itself stood on a border."""
    different: int = 0
    codes: int = 0
    codes_equal: int = 0

    @property
    def frames(self) -> int:
        return self.equal + self.tied + self.different

    @property
    def agreement(self) -> float:
        """Share of codes that are equal, of those chosen in equal circumstances."""
        return self.codes_equal / self.codes if self.codes else 1.0

    def plus(self, other: Tally) -> Tally:
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Tally(*(one + another for one, another in pairs))


def compared(trace: Trace, got: Frames, truth: FrameSampler | None, codebook_size: int) -> Tally:
    """The frames of a trace against what another gave at each of its steps. Where they differ
    `truth` is asked again; `None`: nobody asks whether it is a tie."""
    expected = places(trace.frames)
    given = places(got)
    equal = tied = different = codes = codes_equal = 0
    for at, seen in enumerate(trace.seen(codebook_size)):
        wrong = np.flatnonzero(expected[at] != given[at])
        alike = int(wrong[0]) if wrong.size else _length(expected[at])
        codes += alike + bool(wrong.size)
        codes_equal += alike
        if not wrong.size:
            equal += 1
        elif truth is not None and _is_tie(trace, at, seen, given[at, : alike + 1], truth):
            tied += 1
        else:
            different += 1
    return Tally(equal, tied, different, codes, codes_equal)


def places(frames: Frames) -> Ints:
    """Going on (1) or not (0), then the codes, or -1 after an end; int32 [rows, 1 + codebooks]."""
    codes = np.where(frames.goes_on[:, None], frames.codes, -1)
    return np.concatenate([frames.goes_on[:, None], codes], axis=1).astype(np.int32)


def _length(row: Ints) -> int:
    """How many choices a frame was made of: one, if it was the end."""
    return len(row) if row[0] else 1


def _is_tie(trace: Trace, at: int, seen: Ints, given: Ints, truth: FrameSampler) -> bool:
    """Whether the shipped model, moved by a hair, gives the same up to where they differed."""
    place = len(given) - 1
    again = (truth.sample(hidden, seen[None], draws) for hidden, draws in _moved(trace, at, place))
    return any((places(frames)[0, : place + 1] == given).all() for frames in again)


def _moved(trace: Trace, at: int, place: int) -> Iterator[tuple[Floats, Draws]]:
    hidden, draws = trace.hidden[at : at + 1], trace.draws[at]
    if trace.mode == "greedy":
        chance = np.random.default_rng(at)
        for _ in range(_SHAKES):
            noise = chance.standard_normal(hidden.shape).astype(np.float32)
            yield hidden + noise * np.float32(TIE_NOISE * np.abs(hidden).max()), draws
        return
    for by in (-TIE, TIE):
        text, audio = draws.text.copy(), draws.audio.copy()
        (text if place == 0 else audio[:, place - 1])[...] += by
        yield hidden, Draws(np.clip(text, 0, 1), np.clip(audio, 0, 1))


def codes_alike(right: Ints, given: Ints) -> float:
    """The share of equal codes of clips, [frames, codebooks]; each code is chosen for what those
    before it have left over."""
    alike = np.cumprod(right == given, axis=1)
    judged = int(alike.sum()) + int((alike[:, -1] == 0).sum())
    return float(alike.sum() / judged) if judged else 1.0


class Distance(msgspec.Struct, frozen=True):
    """How far numbers are from those they should be."""

    worst: float
    """Largest difference of one number."""
    snr_db: float
    """Energy of the right numbers over that of the differences; 200 where there is none."""


def distance(right: Sequence[NDArray[Any]], given: Sequence[NDArray[Any]]) -> Distance:
    """Raises ValueError: shapes differ, or something is not a number."""
    worst = signal = noise = 0.0
    for expected, got in zip(right, given, strict=True):
        if expected.shape != got.shape:
            raise ValueError(f"The shape is {got.shape}, not {expected.shape}.")
        if not np.isfinite(got).all():
            raise ValueError("There are values that are no numbers.")
        wide = expected.astype(np.float64)
        error = got.astype(np.float64) - wide
        worst = float(np.max(np.abs(error), initial=worst))
        signal += float((wide * wide).sum())
        noise += float((error * error).sum())
    if noise == 0:
        return Distance(worst, 200.0)
    return Distance(worst, float(min(200.0, 10 * np.log10(max(signal, 1e-30) / noise))))
