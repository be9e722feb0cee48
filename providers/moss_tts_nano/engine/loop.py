"""The batched loop: rows join at the next frame, and leave when they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Protocol

import numpy as np

from providers.moss_tts_nano.draws import Mode, stacked
from providers.moss_tts_nano.engine.book import Book
from providers.moss_tts_nano.engine.prefixes import Prefixes
from providers.moss_tts_nano.engine.take import Take, mark
from providers.moss_tts_nano.engine.tally import Tally
from providers.moss_tts_nano.parts import (
    Floats,
    Frames,
    FrameSampler,
    Ints,
    LanguageModel,
    Prefix,
    Shape,
)
from providers.moss_tts_nano.sampling import Sampling

_JOIN_AT_ONCE = 2
"""Prompts that are read between two frames. One more means a sooner first sound where many come at
once, and a longer wait for those who have had theirs."""


class WorkerParts(Protocol):
    """What one worker has for itself."""

    @property
    def shape(self) -> Shape: ...

    @property
    def assistant_slot(self) -> int:
        """The text token of a row that was generated."""

    @property
    def language_model(self) -> LanguageModel: ...

    def sampler(self, sampling: Sampling | None) -> FrameSampler:
        """The same for the same sampling, as far as memory goes."""
        ...


class Worker:
    """One thread with seats of its own. `crew` are all workers, this one too: a new row goes to
    the one that carries the fewest."""

    def __init__(
        self, book: Book, parts: WorkerParts, mode: Mode, prefixes: Prefixes, crew: list[Worker]
    ) -> None:
        self._book = book
        self._parts = parts
        self._mode = mode
        self._prefixes = prefixes
        self._crew = crew
        self._keeps_prefixes = True
        self.tally = Tally()
        self.takes: list[Take] = []
        """Those that sit in this worker's seats; changed under the book's lock."""
        crew.append(self)

    def run(self) -> None:
        """The thread: until the book is closed."""
        while not self._book.is_closing:
            joining, chosen = self._next()
            chosen += [take for take in joining if self._try([take], self._join)]
            chosen.sort(key=lambda take: hash(take.utterance.script.sampling))
            for _, alike in groupby(chosen, key=lambda take: take.utterance.script.sampling):
                self._try(list(alike), self._frame)
        self._sweep()

    def _next(self) -> tuple[list[Take], list[Take]]:
        """What is to be done before the next frame; waits until there is something."""
        with self._book.lock:
            while True:
                self._sweep()
                running = list(self.takes)
                found = [self._next_take() for _ in range(_JOIN_AT_ONCE)]
                joining = [take for take in found if take is not None]
                chosen = self._book.choose(running)
                if joining or chosen or self._book.is_closing:
                    return joining, chosen
                self._book.work.wait()

    def _next_take(self) -> Take | None:
        """Those that run already wait for a prompt or two, and not for all."""
        rows = len(self.takes)
        if rows >= self._parts.language_model.seats:
            return None
        if any(len(other.takes) < rows for other in self._crew):
            return None
        take = self._book.next_take(sum(len(worker.takes) for worker in self._crew))
        if take is not None:
            self.takes.append(take)
        return take

    def _sweep(self) -> None:
        """Free the seats of those that have ended or are not wanted any more."""
        for take in self.takes:
            if (take.is_made or not take.is_wanted) and take.seat is not None:
                self._parts.language_model.leave(take.seat)
                take.seat = take.hidden = take.seen = None
        self.takes = [take for take in self.takes if not take.is_made and take.is_wanted]

    def _try(self, takes: list[Take], act: Callable[[list[Take]], None]) -> bool:
        """Whether it went well; else the speeches whose rows took part have failed."""
        try:
            act(takes)
        except Exception as error:  # whatever the runtime raises: the thread must live on
            with self._book.lock:
                for take in takes:
                    take.utterance.fail(error)
            return False
        return True

    # ---- a prompt

    def _join(self, takes: list[Take]) -> None:
        model = self._parts.language_model
        for take in takes:
            prefix = self._prefix(take)
            rows = take.chunk.rows[prefix.length if prefix else 0 :]
            with self.tally.timed("prefill"):
                take.seat, take.hidden = model.join(rows, prefix)
            shape = self._parts.shape
            take.seen = np.zeros((shape.codebooks, shape.codebook_size), dtype=np.int32)

    def _prefix(self, take: Take) -> Prefix | None:
        """What is known of the voice. It is computed apart from the text also the first time, so
        that a voice sounds the same cold and warm."""
        rows, voice = take.chunk.prefix_rows, take.utterance.script.voice
        if not self._keeps_prefixes or not rows:
            return None
        prefix = self._prefixes.get(voice)
        if prefix is not None:
            return prefix
        model = self._parts.language_model
        with self.tally.timed("prefill"):
            seat, _ = model.join(take.chunk.rows[:rows])
        try:
            prefix = model.keep(seat, rows)
        finally:
            model.leave(seat)
        if prefix is None:
            self._keeps_prefixes = False
        else:
            self._prefixes.put(voice, prefix)
        return prefix

    # ---- a frame

    def _frame(self, takes: list[Take]) -> None:
        frames = self._sampled(takes)
        going = self._noted(takes, frames)
        if not going:
            return
        rows = np.empty((len(going), 1 + self._parts.shape.codebooks), dtype=np.int32)
        rows[:, 0] = self._parts.assistant_slot
        for row, take in zip(rows, going, strict=True):
            row[1:] = take.frames[-1]
            if take.seen is not None:
                mark(take.seen, take.frames[-1])
        seats = [take.seat for take in going if take.seat is not None]
        with self.tally.timed("decode"):
            hidden = self._parts.language_model.step(seats, rows)
        for take, state in zip(going, hidden, strict=True):
            take.hidden = state

    def _sampled(self, takes: Sequence[Take]) -> Frames:
        sampler = self._parts.sampler(takes[0].utterance.script.sampling)
        hidden: Floats = np.stack([take.hidden for take in takes if take.hidden is not None])
        seen: Ints = np.stack([take.seen for take in takes if take.seen is not None])
        draws = stacked([take.draws.frame() for take in takes], self._mode)
        with self.tally.timed("local"):
            return sampler.sample(hidden, seen, draws)

    def _noted(self, takes: Sequence[Take], frames: Frames) -> list[Take]:
        """Tell the book; gives those that go on."""
        going = []
        with self._book.lock:
            for take, goes_on, codes in zip(takes, frames.goes_on, frames.codes, strict=True):
                if not goes_on:
                    take.utterance.stop(take)
                elif take.utterance.add(take, codes):
                    going.append(take)
            self._book.pace.count(int(frames.goes_on.sum()))
            self._book.sound.notify_all()
            if len(going) < len(takes):
                self._book.work.notify_all()
        return going
