"""The global transformer over the two graphs that are shipped for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from providers.moss_tts_nano.metadata import TtsOnnx
from providers.moss_tts_nano.parts import Floats, Ints, Prefix, Seat
from providers.moss_tts_nano.sessions import Graph


class TwoGraphs:
    """One sequence at a time, as the official loop does it: the step's graph is right only where
    all rows of a batch are equally long, and alone nobody can depend on a neighbour."""

    def __init__(
        self, prefill: Graph, step: Graph, names: TtsOnnx, seats: int, capacity: int
    ) -> None:
        self.seats = seats
        self.capacity = capacity
        self._prefill = prefill
        self._step = step
        self._past_of = {
            present: present.replace("present_", "past_")
            for present in names.decode_output_names[1:]
        }
        self._taken: set[_Sequence] = set()

    def join(self, rows: Ints, prefix: Prefix | None = None) -> tuple[Seat, Floats]:
        """Raises ValueError: there is no seat, or the prompt is too long."""
        if prefix is not None:
            raise ValueError("These graphs cannot go on from a kept prefix.")
        if len(self._taken) == self.seats:
            raise ValueError("All seats are taken.")
        if len(rows) > self.capacity:
            raise ValueError("The prompt is longer than a seat.")
        mask = np.ones((1, len(rows)), dtype=np.int32)
        outputs = self._prefill.run({"input_ids": rows[None], "attention_mask": mask})
        seat = _Sequence(len(rows), self._kept(outputs))
        self._taken.add(seat)
        return seat, outputs["global_hidden"][0, -1].copy()

    def step(self, seats: Sequence[Seat], rows: Ints) -> Floats:
        """Raises ValueError: a seat is full."""
        hidden = [
            self._stepped(cast("_Sequence", seat), row)
            for seat, row in zip(seats, rows, strict=True)
        ]
        return np.stack(hidden)

    def keep(self, seat: Seat, length: int) -> Prefix | None:
        return None

    def leave(self, seat: Seat) -> None:
        sequence = cast("_Sequence", seat)
        self._taken.discard(sequence)
        sequence.past = {}

    def _stepped(self, sequence: _Sequence, row: Ints) -> Floats:
        if sequence.length >= self.capacity:
            raise ValueError("The seat is full.")
        outputs = self._step.run(
            {
                "input_ids": row[None, None],
                "past_valid_lengths": np.array([sequence.length], dtype=np.int32),
                **sequence.past,
            }
        )
        sequence.length += 1
        sequence.past = self._kept(outputs)
        hidden: Floats = outputs["global_hidden"][0, -1]
        return hidden

    def _kept(self, outputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {past: outputs[present] for present, past in self._past_of.items()}


class _Sequence:
    """A seat: the keys and values of its rows, as they came out of the graph."""

    __slots__ = ("length", "past")

    def __init__(self, length: int, past: dict[str, NDArray[Any]]) -> None:
        self.length = length
        self.past = past
