"""Workers and codecs on their threads, from the first speech to the close."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import partial

from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.engine.book import Book
from providers.moss_tts_nano.engine.codec import CodecWorker
from providers.moss_tts_nano.engine.loop import Worker, WorkerParts
from providers.moss_tts_nano.engine.prefixes import Prefixes
from providers.moss_tts_nano.engine.script import Listener, Script
from providers.moss_tts_nano.engine.tally import Tally, together
from providers.moss_tts_nano.engine.utterance import Utterance
from providers.moss_tts_nano.parts import Decoder, Shape

_MORE_NICENESS = 5


class Engine:
    """Scripts in, sound out. Its threads start with it; whoever made it closes it."""

    def __init__(
        self,
        shape: Shape,
        workers: Sequence[WorkerParts],
        decoder: Decoder,
        *,
        codecs: int,
        mode: Mode,
        waiting: int,
        prefix_bytes: int,
    ) -> None:
        """Each worker is used by one thread alone, the decoder by `codecs` of them; beside as many
        speeches as there are seats, `waiting` more are taken."""
        rows = sum(parts.language_model.seats for parts in workers)
        self._book = Book(shape, rows=rows, most=rows + waiting)
        self._prefixes = Prefixes(prefix_bytes)
        crew: list[Worker] = []
        for parts in workers:
            Worker(self._book, parts, mode, self._prefixes, crew)
        self._crew = crew
        makers = [CodecWorker(self._book, decoder) for _ in range(codecs)]
        self._tallies = [*(one.tally for one in crew), *(one.tally for one in makers)]
        self.seats = rows
        """Sequences that may have a seat at once."""
        self._threads = [self._thread(f"moss-frames-{n}", one.run) for n, one in enumerate(crew)]
        self._threads += [
            self._thread(f"moss-codec-{n}", partial(_after_others, one.run))
            for n, one in enumerate(makers)
        ]

    def open(self, script: Script, listener: Listener) -> Utterance:
        """Begin a speech; it goes on until its end, `cancel`, or `close`.

        Raises:
            Full: too many are under way or waiting.
            Closed
        """
        return self._book.open(script, listener)

    def cancel(self, utterance: Utterance) -> None:
        """Let go of a speech; its rows are free at the next frame. Harmless after its end."""
        self._book.cancel(utterance)

    def read(self, utterance: Utterance, sound_bytes: int) -> None:
        """The listener has taken so much of what he was handed."""
        self._book.read(utterance, sound_bytes)

    @property
    def under_way(self) -> int:
        """Speeches that are made or wait."""
        return self._book.under_way

    @property
    def rows(self) -> int:
        """Sequences that have a seat now."""
        return sum(len(worker.takes) for worker in self._crew)

    @property
    def waiting(self) -> int:
        """Speeches of which nothing was begun yet."""
        return self._book.waiting

    @property
    def frames(self) -> int:
        """All that were ever made."""
        return self._book.pace.all

    @property
    def frames_per_s(self) -> float:
        """Of late."""
        with self._book.lock:
            return self._book.pace.per_s()

    @property
    def tally(self) -> Tally:
        """What all threads together have done so far."""
        return together(self._tallies)

    def forget(self, voice: Hashable) -> None:
        """Keep nothing of a voice; speeches under way go on."""
        self._prefixes.forget(voice)

    @property
    def prefix_bytes(self) -> int:
        return self._prefixes.size_bytes

    @property
    def died_of(self) -> Exception | None:
        """What has ended it before its time: a fault of ours, for what a model does is caught."""
        return self._book.died_of

    def close(self) -> None:
        """End all speeches and all threads; waits for a prompt or a frame at most."""
        self._book.close()
        for thread in self._threads:
            thread.join()

    def _thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(run,), name=name, daemon=True)
        thread.start()
        return thread

    def _run(self, act: Callable[[], None]) -> None:
        """Nobody would hear of a thread that dies, and listeners would wait for ever."""
        try:
            act()
        except Exception as error:
            self._book.close(error)


def _after_others(act: Callable[[], None]) -> None:
    """A codec has what the frames leave: for these all rows wait, and who is alone uses all cores
    for moments, in operations that are done when their last thread is. Only on Linux have threads
    a niceness of their own."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            niceness = os.getpriority(os.PRIO_PROCESS, thread) + _MORE_NICENESS
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
    act()
