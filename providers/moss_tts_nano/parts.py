"""What the engine is made of: a language model with seats, a frame sampler, a codec.

Two sets of parts exist: the reference (the shipped graphs as they are) and the compact one (graphs
built from the shipped weights). The engine sees only these promises, so that each part can come
from either. No part is used by two threads at once, unless it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


class Shape(NamedTuple):
    """The model's own numbers, from its metadata; those of the real one stand beside."""

    codebooks: int  # 16
    codebook_size: int  # 1024; also the padding code
    vocabulary: int  # 16384
    hidden: int  # 768
    sample_rate: int  # 48000
    channels: int  # 2
    frame_samples: int  # 3840: 80 ms


class Frames(NamedTuple):
    """One frame of each row."""

    goes_on: NDArray[np.bool_]
    """[rows]; false ends the row, and its codes are to be thrown away."""
    codes: Ints
    """[rows, codebooks]"""


class Draws(NamedTuple):
    """The random numbers of one frame, each in [0, 1): float32 for a graph; float64, which the
    types do not tell, for sampling on the host (mode `full`)."""

    text: Floats
    """[rows]"""
    audio: Floats
    """[rows, codebooks]"""


class Seat(Protocol):
    """One sequence's place in the language model; `length` rows of it are known to the model."""

    @property
    def length(self) -> int: ...


class Prefix(Protocol):
    """Keys and values of a sequence's first rows, kept apart from any seat; never changed."""

    @property
    def length(self) -> int: ...

    @property
    def size_bytes(self) -> int: ...


class LanguageModel(Protocol):
    """The global transformer. Its seats are bounded, and so is the length of each.

    A result of one seat does not depend on who sits beside it.
    """

    seats: int
    """How many sequences may sit at once."""
    capacity: int
    """Most rows of one sequence."""

    def join(self, rows: Ints, prefix: Prefix | None = None) -> tuple[Seat, Floats]:
        """Take a seat and read a prompt: `rows` int32 [length, 1 + codebooks], those after the
        prefix. Gives the hidden state of the last row, float32 [hidden]."""
        ...

    def step(self, seats: Sequence[Seat], rows: Ints) -> Floats:
        """Append one row to each seat, `rows` int32 [seats, 1 + codebooks]; gives float32
        [seats, hidden]."""
        ...

    def keep(self, seat: Seat, length: int) -> Prefix | None:
        """Copy the first `length` rows' keys and values out of a seat; `None` where this model
        cannot continue from a prefix."""
        ...

    def leave(self, seat: Seat) -> None:
        """Free the seat. Doing so twice is harmless."""
        ...


class FrameSampler(Protocol):
    """The local transformer: from a hidden state to one frame of codes."""

    def sample(self, hidden: Floats, seen: Ints, draws: Draws) -> Frames:
        """`hidden` [rows, hidden]; `seen` int32 [rows, codebooks, codebook_size], 1 where the row
        has already emitted that code; the sampler does not change it."""
        ...


class CodecState(Protocol):
    """Where a decoder stands in one stream of frames. It belongs to one decoder."""


class Decoder(Protocol):
    """Codes to samples, frame by frame, without looking ahead. It may be used by several threads at
    once, each stream by one at a time."""

    def start(self) -> CodecState: ...

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        """`codes` int32 [frames, codebooks], at least one frame, which follow those decoded with
        this state before. Gives float32 [channels, frames * frame_samples]; the state moves on."""
        ...


class Encoder(Protocol):
    """Samples to codes. It may be used by several threads at once."""

    def encode(self, samples: Floats) -> Ints:
        """`samples` float32 [channels, length] at the model's rate, -1..1; gives int32 [frames,
        codebooks] with frames = length // frame_samples."""
        ...
