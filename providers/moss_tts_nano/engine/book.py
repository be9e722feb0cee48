"""Who wants to be said, and who comes next: everything that the engine's threads share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from providers.moss_tts_nano.engine.cadence import CALM_S, HUNGRY_S
from providers.moss_tts_nano.engine.pace import Pace
from providers.moss_tts_nano.engine.script import Listener, Script
from providers.moss_tts_nano.engine.take import Take
from providers.moss_tts_nano.engine.utterance import Utterance
from providers.moss_tts_nano.parts import Shape

ALL_EVERY = 4
"""While somebody is hungry, the others get one frame in so many."""
SPARE_SHARE = 4
"""One seat in so many is kept for what is heard now: what is made ahead, and batches, leave it
free."""
GLANCE_S = 0.05
"""How often sound that waits is looked at again: time alone can make it due."""


class Full(Exception):
    """Too many speeches are under way or waiting."""


class Closed(Exception):
    """The engine has been closed."""


class Book:
    """All speeches under way, under one lock that is held for bookkeeping alone."""

    def __init__(
        self, shape: Shape, *, rows: int, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`rows` of all workers together; `most` speeches at once, waiting ones too."""
        lock = threading.Lock()
        self.lock = lock
        self.work = threading.Condition(lock)
        """Told when there may be frames to make."""
        self.sound = threading.Condition(lock)
        """Told when there may be frames to decode."""
        self.is_closing = False
        self.died_of: Exception | None = None
        self.pace = Pace(clock)
        """Of the frames that go on; counted under the lock."""
        self._shape = shape
        self._clock = clock
        self._rows = rows
        self._most = most
        self._utterances: list[Utterance] = []
        self._frame = 0

    # ---- from outside; these take the lock themselves

    def open(self, script: Script, listener: Listener) -> Utterance:
        """Raises Full, Closed."""
        with self.lock:
            if self.is_closing:
                raise Closed
            self._forget()
            if len(self._utterances) >= self._most:
                raise Full
            utterance = Utterance(script, listener, self._shape, self._clock())
            self._utterances.append(utterance)
            self.work.notify_all()
            return utterance

    def cancel(self, utterance: Utterance) -> None:
        """Nobody listens any more: its rows are free at the next frame."""
        with self.lock:
            utterance.is_over = True
            self._forget()
            self.work.notify_all()

    def read(self, utterance: Utterance, sound_bytes: int) -> None:
        with self.lock:
            utterance.read(sound_bytes)  # nobody is woken: a codec looks at what waits by itself

    def close(self, reason: Exception | None = None) -> None:
        """End everything; `reason`: a thread has died of it."""
        with self.lock:
            self.is_closing = True
            self.died_of = self.died_of or reason
            for utterance in self._utterances:
                utterance.fail(reason or Closed())
            self._utterances.clear()
            self.work.notify_all()
            self.sound.notify_all()

    @property
    def under_way(self) -> int:
        with self.lock:
            self._forget()
            return len(self._utterances)

    @property
    def waiting(self) -> int:
        """Speeches of which nothing was begun yet."""
        with self.lock:
            return sum(not one.has_begun for one in self._utterances if not one.is_over)

    # ---- for the threads that make frames; the lock is held

    def next_take(self, running: int) -> Take | None:
        """The chunk to begin now, where so many rows run already, in all workers together."""
        now = self._clock()
        spare = running < self._rows - max(1, self._rows // SPARE_SHARE)
        best: tuple[tuple[int, int, tuple[bool, float]], Utterance, int] | None = None
        for utterance in self._utterances:
            index = utterance.next_chunk(self._rows if spare else 0)
            if index is None:
                continue
            urgency = _urgency(utterance, index)
            if urgency and not (spare or running == 0):
                continue
            key = (urgency, index - utterance.head, utterance.turn(now))
            if best is None or key < best[0]:
                best = key, utterance, index
        if best is None:
            return None
        _, utterance, index = best
        return utterance.begin(index)

    def choose(self, takes: Iterable[Take]) -> list[Take]:
        """Those that get the next frame."""
        able = [take for take in takes if take.utterance.may_go_on(take)]
        now = self._clock()
        self._frame += 1
        if self._frame % ALL_EVERY == 0 or not self._somebody_is_hungry(now):
            return able
        return [take for take in able if not self._can_wait(take, now)] or able

    def _somebody_is_hungry(self, now: float) -> bool:
        return any(
            utterance.script.priority == "live" and utterance.lead_s(now) < HUNGRY_S
            for utterance in self._utterances
            if not utterance.is_over
        )

    @staticmethod
    def _can_wait(take: Take, now: float) -> bool:
        utterance = take.utterance
        return _urgency(utterance, take.index) > 0 or utterance.lead_s(now) > CALM_S

    # ---- for the threads that make sound; the lock is held

    def next_piece(self) -> tuple[Take, int] | None:
        """The take that a codec decodes from now, and how many of its frames."""
        now = self._clock()
        pieces = [
            (_urgency(utterance, piece[0].index), utterance.turn(now), piece)
            for utterance in self._utterances
            if (piece := utterance.next_piece(now)) is not None
        ]
        if not pieces:
            return None
        take, frames = min(pieces, key=lambda one: one[:2])[2]
        take.at_codec = True
        take.decoded += frames
        return take, frames

    def hand_out(self) -> bool:
        """Give every listener what he may have; whether anything waits for its time."""
        now = self._clock()
        moved = [utterance.hand_out(now) for utterance in self._utterances]
        if any(moved):
            self.work.notify_all()
        self._forget()
        return any(utterance.takes for utterance in self._utterances)

    def _forget(self) -> None:
        self._utterances = [one for one in self._utterances if not one.is_over]


def _urgency(utterance: Utterance, index: int) -> int:
    """0 for what a live listener hears now, 1 for what he hears later, 2 for batches."""
    if utterance.script.priority != "live":
        return 2
    return 0 if index == utterance.head else 1
