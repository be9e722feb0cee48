"""The language model on its compact graph: seats in one block of memory, stepped together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime

from providers.moss_tts_nano.compact.blocks import rotation
from providers.moss_tts_nano.compact.embedding import Embedding
from providers.moss_tts_nano.memory import sparse_zeros
from providers.moss_tts_nano.parts import Floats, Ints, Prefix, Seat


class TakenSeat:
    """Where a sequence sits, and how far it has come."""

    def __init__(self, place: int) -> None:
        self.place = place
        """Row in the caches; -1 when it has left."""
        self.length = 0


class KeptPrefix:
    """Keys and values of a sequence's first rows."""

    def __init__(self, caches: Floats) -> None:
        self.caches = caches
        """[2 * layers, heads, length, head width]"""

    @property
    def length(self) -> int:
        return int(self.caches.shape[2])

    @property
    def size_bytes(self) -> int:
        return self.caches.nbytes


class _Step:
    """A binding for so many seats, with the memory that it reads and writes."""

    def __init__(self, session: onnxruntime.InferenceSession, hidden: int, rows: int) -> None:
        self._session = session
        self.embedded = np.zeros((rows, hidden), np.float32)
        self.hidden = np.zeros((rows, hidden), np.float32)
        self.lengths = np.zeros(rows, np.int32)
        self.longest = np.zeros((), np.int32)
        self.binding = session.io_binding()

    def bind(self, name: str, array: Floats | Ints, shape: Sequence[int]) -> None:
        self.binding.bind_input(name, "cpu", 0, array.dtype.type, shape, array.ctypes.data)

    def bind_output(self, name: str, array: Floats, shape: Sequence[int]) -> None:
        self.binding.bind_output(name, "cpu", 0, array.dtype.type, shape, array.ctypes.data)

    def run(self) -> None:
        self._session.run_with_iobinding(self.binding)


class Sessions(NamedTuple):
    """Of the same weights. Whoever is alone has more threads; in company one of them would wait for
    a core while the other turns in circles until it comes."""

    many: onnxruntime.InferenceSession
    one: onnxruntime.InferenceSession
    """Steps who is alone."""
    prompt: onnxruntime.InferenceSession
    """Reads the prompt of who is alone."""


class CompactLanguageModel:
    """`LanguageModel` of the parts. Those who step stand in the first rows of the caches: whoever
    is in their way changes places with them, and this costs only when somebody comes or goes."""

    def __init__(
        self,
        sessions: Sessions,
        embedding: Embedding,
        heads: int,
        seats: int,
        capacity: int,
    ) -> None:
        self.seats, self.capacity = seats, capacity
        self._sessions = sessions
        self._embedding = embedding
        width = embedding.hidden // heads
        layers = sum(each.name.startswith("past_key_") for each in sessions.many.get_inputs())
        self._caches = sparse_zeros((2 * layers, seats, heads, capacity, width))
        self._turn = rotation(capacity, width)
        self._places: list[TakenSeat | None] = [None] * seats
        self._steps: dict[int, _Step] = {}

    def join(self, rows: Ints, prefix: Prefix | None = None) -> tuple[Seat, Floats]:
        """Raises: ValueError, if no seat is free or the rows are too many for one."""
        seat = self._take(len(rows) + (prefix.length if prefix else 0))
        try:
            if prefix is not None:
                self._restore(seat, prefix)
            return seat, self._read(seat, rows)
        except BaseException:
            self.leave(seat)
            raise

    def step(self, seats: Sequence[Seat], rows: Ints) -> Floats:
        """Raises: ValueError, if a seat has left or is full."""
        taken = [self._checked(seat) for seat in seats]
        step = self._steps.get(len(taken)) or self._step(len(taken))
        self._gather(taken)
        places = [seat.place for seat in taken]
        self._embedding.look_up(rows[np.argsort(places)], step.embedded)
        lengths = [seat.length for seat in taken]
        step.lengths[places] = lengths
        step.longest[...] = max(lengths) + 1
        step.run()
        for seat in taken:
            seat.length += 1
        hidden: Floats = step.hidden[places]
        return hidden

    def keep(self, seat: Seat, length: int) -> Prefix | None:
        """Raises: ValueError, if the seat has left or has fewer rows."""
        taken = self._checked(seat)
        if length > taken.length:
            raise ValueError(f"The seat has {taken.length} rows, not {length}.")
        return KeptPrefix(self._caches[:, taken.place, :, :length].copy())

    def leave(self, seat: Seat) -> None:
        if isinstance(seat, TakenSeat) and seat.place >= 0:
            self._places[seat.place] = None
            seat.place = -1

    def _take(self, length: int) -> TakenSeat:
        if length > self.capacity:
            raise ValueError(f"{length} rows are more than the {self.capacity} of one seat.")
        if None not in self._places:
            raise ValueError(f"All {self.seats} seats are taken.")
        seat = TakenSeat(self._places.index(None))
        self._places[seat.place] = seat
        return seat

    def _restore(self, seat: TakenSeat, prefix: Prefix) -> None:
        if not isinstance(prefix, KeptPrefix):
            raise TypeError("This prefix was kept by a model of another kind.")
        self._caches[:, seat.place, :, : prefix.length] = prefix.caches
        seat.length = prefix.length

    def _checked(self, seat: Seat) -> TakenSeat:
        if not isinstance(seat, TakenSeat) or seat.place < 0:
            raise ValueError("This seat has been left.")
        return seat

    def _read(self, seat: TakenSeat, rows: Ints) -> Floats:
        """Read rows into one seat, behind those that it has."""
        is_alone = all(each in (None, seat) for each in self._places)
        session = self._sessions.prompt if is_alone else self._sessions.many
        step = _Step(session, self._embedding.hidden, 1)
        embedded = np.empty((len(rows), self._embedding.hidden), np.float32)
        self._embedding.look_up(rows, embedded)
        step.bind("embedded", embedded, [1, *embedded.shape])
        self._bind(step, seat.place, 1)
        step.lengths[0] = seat.length + len(rows) - 1
        step.longest[...] = seat.length + len(rows)
        step.run()
        seat.length += len(rows)
        hidden: Floats = step.hidden[0]
        return hidden

    def _step(self, count: int) -> _Step:
        session = self._sessions.one if count == 1 else self._sessions.many
        step = _Step(session, self._embedding.hidden, count)
        step.bind("embedded", step.embedded, [count, 1, self._embedding.hidden])
        self._bind(step, 0, count)
        self._steps[count] = step
        return step

    def _bind(self, step: _Step, first: int, count: int) -> None:
        """Everything but the embedded rows; the caches are read and written in place."""
        step.bind("lengths", step.lengths, [count])
        step.bind("longest", step.longest, [])
        for name, table in zip(("cos", "sin"), self._turn, strict=True):
            step.bind(name, table, table.shape)
        step.bind_output("hidden", step.hidden, [count, 1, self._embedding.hidden])
        for at, cache in enumerate(self._caches):
            what, mine = ("key", "value")[at % 2], cache[first : first + count]
            step.bind(f"past_{what}_{at // 2}", mine, mine.shape)
            step.bind_output(f"present_{what}_{at // 2}", mine, mine.shape)

    def _gather(self, taken: list[TakenSeat]) -> None:
        """Bring these into the first rows, in any order."""
        count = len(taken)
        here = {seat.place for seat in taken}
        gaps = iter(place for place in range(count) if place not in here)
        for seat in taken:
            if seat.place >= count:
                self._exchange(seat, next(gaps))
        full = [seat for seat in taken if seat.length >= self.capacity]
        if full:
            raise ValueError(f"A seat is full: it has {self.capacity} rows.")

    def _exchange(self, seat: TakenSeat, place: int) -> None:
        other = self._places[place]
        caches = self._caches
        if other is not None:
            aside = caches[:, place, :, : other.length].copy()
        caches[:, place, :, : seat.length] = caches[:, seat.place, :, : seat.length]
        if other is not None:
            caches[:, seat.place, :, : other.length] = aside
            other.place = seat.place
        self._places[seat.place], self._places[place] = other, seat
        seat.place = place
