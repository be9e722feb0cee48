"""The sum of a row's embeddings, from one table that is mapped from its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from providers.moss_tts_nano.compact.weights import Tables
from providers.moss_tts_nano.parts import Floats, Ints, Shape


class Embedding:
    """Text tokens and the codes of all codebooks, one below the other in one table; a row of zeros
    behind each codebook is its padding."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self._table = np.memmap(path, np.float32, "r").reshape(-1, shape.hidden)
        starts = [first_row(shape, channel) for channel in range(shape.codebooks)]
        self._starts = np.array([0, *starts])
        self.hidden = shape.hidden

    def look_up(self, rows: Ints, out: Floats) -> None:
        """`rows` int32 [count, 1 + codebooks], `out` [count, hidden]"""
        np.add.reduce(self._table[rows + self._starts], axis=1, out=out)


def first_row(shape: Shape, codebook: int) -> int:
    """Where a codebook begins in the table."""
    return shape.vocabulary + codebook * (shape.codebook_size + 1)


def write_table(path: Path, tables: Tables) -> None:
    with path.open("wb") as file:
        file.write(np.ascontiguousarray(tables.text).data)
        for table in tables.audio:
            file.write(np.ascontiguousarray(table).data)
            file.write(bytes(4 * table.shape[1]))
