"""How many threads and rows a machine is given.

Threads that spin make a small machine slower (2 threads on 2 cores: 0.67 to 1.1 seconds of work a
second of audio instead of 0.37), so none do, and one thread to a worker gives the most sound: a
frame is made of a thousand small operations, and waking another thread for each costs more than it
saves. What more cores bring is more workers over the same weights, and more codecs.
"""

from __future__ import annotations

import msgspec

MOST_ROWS = 32
"""Rows of all workers together: a row's keys and values take up to 74 kB for each of its places."""

_MOST_OF_A_KIND = 8
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
    """The same where nobody is held up by it: for a row that is alone, its prompt, or a clip."""
    codecs: int
    """Threads that make sound of frames."""

    @property
    def all_rows(self) -> int:
        return self.workers * self.rows


def staff(cores: int, rows: int | None = None) -> Staff:
    """The staff for so many cores; `rows` are those of all workers together.

    Frames and sound take about as long as each other, so that half of the cores goes to each; one
    codec more takes what frames leave of theirs. Few workers with many rows are best: rows share
    the reading of the weights, and their unpacking where they have 8 bits. (2 cores, `int8`, 8
    streams, `tests.bench.moss`: 8.0 seconds of sound a second so, and 5.6 with two workers and one
    codec, which they leave behind, and their seats empty.)
    """
    cores = max(1, cores)
    wanted = rows or min(MOST_ROWS, 4 * max(2, cores))
    workers = min(wanted, max(1, min(_MOST_OF_A_KIND, cores // 2)))
    return Staff(
        workers=workers,
        rows=-(-wanted // workers),
        threads=1,
        wide=min(cores, _WIDEST),
        codecs=min(_MOST_OF_A_KIND, cores, cores - workers + 1),
    )
