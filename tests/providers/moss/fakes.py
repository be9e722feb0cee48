"""Small parts in numpy that keep the promises of the real ones, so that every frame can be
foretold: what a row becomes depends on its prompt and its draws, and on nothing else."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

import numpy as np

from providers.moss_tts_nano.draws import RowDraws, stacked
from providers.moss_tts_nano.parts import (
    CodecState,
    Draws,
    Floats,
    Frames,
    FrameSampler,
    Ints,
    LanguageModel,
    Prefix,
    Seat,
    Shape,
)
from providers.moss_tts_nano.sampling import Sampling

SHAPE = Shape(
    codebooks=4,
    codebook_size=32,
    vocabulary=64,
    hidden=8,
    sample_rate=8000,
    channels=2,
    frame_samples=100,
)
SLOT = 9
_FACTORS = np.random.default_rng(5).integers(1, 999, (1 + SHAPE.codebooks, SHAPE.hidden))


class FakeSeat:
    def __init__(self, length: int, hidden: Floats) -> None:
        self.length = length
        self.hidden = hidden


class FakePrefix:
    size_bytes = 100

    def __init__(self, length: int, hidden: Floats) -> None:
        self.length = length
        self.hidden = hidden


class FakeModel:
    """The hidden state of a row is a walk through all its rows; a step may be held up."""

    def __init__(self, seats: int = 4, capacity: int = 10_000, *, keeps: bool = True) -> None:
        self.seats = seats
        self.capacity = capacity
        self.keeps = keeps
        self.sitting: set[FakeSeat] = set()
        self.calls: list[tuple[str, int]] = []
        """What was asked of it: `join` with its rows, `step` with its seats."""
        self.gate: threading.Semaphore | None = None
        """Where set, each step takes one of its permits."""
        self.fails_at: int | None = None
        """The call that fails, counted from 0."""
        self._in_use = threading.Lock()

    def join(self, rows: Ints, prefix: Prefix | None = None) -> tuple[Seat, Floats]:
        with self._alone("join", len(rows)):
            assert len(self.sitting) < self.seats, "there is no free seat"
            kept = cast("FakePrefix | None", prefix)
            seat = FakeSeat(
                kept.length if kept else 0,
                kept.hidden if kept else np.zeros(SHAPE.hidden, dtype=np.float32),
            )
            for row in rows:
                _walk(seat, row)
            self.sitting.add(seat)
            return seat, seat.hidden

    def step(self, seats: Sequence[Seat], rows: Ints) -> Floats:
        if self.gate is not None:
            self.gate.acquire()
        with self._alone("step", len(seats)):
            stepping = cast("Sequence[FakeSeat]", seats)
            for seat, row in zip(stepping, rows, strict=True):
                assert seat in self.sitting
                assert seat.length < self.capacity
                _walk(seat, row)
            return np.stack([seat.hidden for seat in stepping])

    def keep(self, seat: Seat, length: int) -> Prefix | None:
        assert seat in self.sitting
        assert seat.length == length
        return FakePrefix(length, seat.hidden) if self.keeps else None

    def leave(self, seat: Seat) -> None:
        self.sitting.discard(cast("FakeSeat", seat))

    def _alone(self, act: str, size: int) -> threading.Lock:
        self.calls.append((act, size))
        if len(self.calls) - 1 == self.fails_at:
            raise RuntimeError("the runtime failed")
        assert not self._in_use.locked(), "two threads use one part"
        return self._in_use


def _walk(seat: FakeSeat, row: Ints) -> None:
    """In whole numbers, which no order of adding changes."""
    state = seat.hidden.astype(np.int64) * 7 + seat.length
    state += (row[:, None] * _FACTORS).sum(axis=0)
    seat.hidden = (state % 65521).astype(np.float32)
    seat.length += 1


class FakeSampler:
    """Codes from the hidden state, the draws and what was seen; the end by the text's draw."""

    def __init__(self, stop_below: float = 0.1, sampling: Sampling | None = None) -> None:
        self._stop_below = stop_below
        self._shift = int(100 * sampling.audio_temperature) if sampling else 0

    def sample(self, hidden: Floats, seen: Ints, draws: Draws) -> Frames:
        goes_on, codes = [], []
        for state, marks, text, audio in zip(hidden, seen, draws.text, draws.audio, strict=True):
            goes_on.append(text >= self._stop_below)
            base = state[: SHAPE.codebooks].astype(np.int64) + (audio * 100).astype(np.int64)
            base += marks.sum(axis=1) + self._shift
            codes.append(base % SHAPE.codebook_size)
        return Frames(np.array(goes_on), np.array(codes, dtype=np.int32))


class FakeState:
    def __init__(self) -> None:
        self.frames = 0


class FakeDecoder:
    """Sound in which the codes and the frame's place in its stream can be read again."""

    def __init__(self) -> None:
        self.pieces: list[int] = []

    def start(self) -> CodecState:
        return FakeState()

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        stream = cast("FakeState", state)
        assert len(codes) >= 1
        self.pieces.append(len(codes))
        sound = np.zeros((len(codes), SHAPE.channels, SHAPE.frame_samples), dtype=np.float32)
        for frame, line in zip(sound, codes, strict=True):
            frame[:, 0] = (stream.frames % 1000 + 1) / 32767
            frame[:, 1 : 1 + SHAPE.codebooks] = line / 32767
            frame[:, 1 + SHAPE.codebooks :] = 0.5  # loud, so that nobody takes it for silence
            stream.frames += 1
        return sound.transpose(1, 0, 2).reshape(SHAPE.channels, -1)


class FakeParts:
    """What one worker has for itself."""

    def __init__(self, model: FakeModel | None = None, stop_below: float = 0.1) -> None:
        self.shape = SHAPE
        self.assistant_slot = SLOT
        self.model = model or FakeModel()
        self._stop_below = stop_below

    @property
    def language_model(self) -> LanguageModel:
        return self.model

    def sampler(self, sampling: Sampling | None) -> FrameSampler:
        return FakeSampler(self._stop_below, sampling)


def frames_alone(
    rows: Ints,
    draws: RowDraws,
    *,
    most: int,
    stop_below: float = 0.1,
    sampling: Sampling | None = None,
) -> list[list[int]]:
    """The codes of one sequence that nobody sits beside, by a loop of its own."""
    model, sampler = FakeModel(1), FakeSampler(stop_below, sampling)
    seat, hidden = model.join(rows)
    seen = np.zeros((1, SHAPE.codebooks, SHAPE.codebook_size), dtype=np.int32)
    frames: list[list[int]] = []
    while len(frames) < most:
        frame = sampler.sample(hidden[None], seen, stacked([draws.frame()], draws.mode))
        if not frame.goes_on[0]:
            break
        codes = frame.codes[0]
        frames.append(codes.tolist())
        seen[0, np.arange(SHAPE.codebooks), codes] = 1
        hidden = model.step([seat], np.array([[SLOT, *codes]], dtype=np.int32))[0]
    return frames


def codes_in(sound: bytes) -> list[list[int] | None]:
    """The frames that can be read in sound, by their codes; `None` for one that is silent."""
    samples = np.frombuffer(sound, dtype="<i2").reshape(-1, SHAPE.frame_samples, SHAPE.channels)
    return [
        frame[1 : 1 + SHAPE.codebooks, 0].tolist() if frame[0, 0] else None for frame in samples
    ]
