"""How many threads and rows a machine is given.

Threads that spin make a small machine slower (2 threads on 2 cores: 0.67 to 1.1 seconds of work a
second of audio instead of 0.37), so none do, and one thread to a worker gives the most sound: a
frame is made of a thousand small operations, and waking another thread for each costs more than it
saves. What more cores bring is more workers over the same weights, and more codecs.
"""

from __future__ import annotations

import msgspec

from providers.moss_tts_nano.settings import Precision

MOST_ROWS = 32
"""Rows of all workers together: a row's keys and values take up to 74 kB for each of its places."""


_WIDEST = 4
"""More threads within one operation wait for each other: users of the official runtime have
measured 8 as twice, and 12 as four times as slow as 4 (canto-tts, 2026)."""


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """Who works at what."""

    workers: int
    """Threads that make frames, each with seats of its own."""
    rows: int
    """Sequences that one worker carries at once."""
    threads: int
    """Threads of the runtime within one operation; the calling one counts."""
    wide: int
    """The same where nobody is held up by it: for a prompt, a row that is alone, a clip."""
    codecs: int
    """Threads that make sound of frames."""

    @property
    def all_rows(self) -> int:
        return self.workers * self.rows


def staff(cores: int, precision: Precision, rows: int | None = None) -> Staff:
    """The staff for so many cores; `rows` are those of all workers together.

    In float32 a step reads all weights, whatever the number of rows, so that few workers with many
    rows are best; 8-bit weights are read four times as fast, and there the arithmetic counts.
    """
    cores = max(1, cores)
    workers = _workers(cores, precision)
    wanted = rows or min(MOST_ROWS, 4 * max(2, cores))
    workers = min(workers, wanted)
    return Staff(
        workers=workers,
        rows=-(-wanted // workers),
        threads=1,
        wide=min(cores, _WIDEST),
        codecs=max(1, min(8, cores // 3)),
    )


def _workers(cores: int, precision: Precision) -> int:
    if precision == "int8":
        return min(cores, 2) if cores < 4 else min(12, cores - cores // 3)
    return max(1, min(8, cores // 2))
