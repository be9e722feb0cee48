"""The global transformer."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.support.moss_numpy.arithmetic import Doubles
from tests.support.moss_numpy.blocks import Blocks, Cache
from tests.support.moss_numpy.loaded import Loaded
from tests.support.tiny_moss.weights import Weights


class Known(msgspec.Struct, frozen=True):
    """A sequence as far as it was read."""

    caches: list[Cache]
    """One for each layer."""

    @property
    def length(self) -> int:
        return len(self.caches[0][0])


class LanguageModel:
    def __init__(self, weights: Weights) -> None:
        self._loaded = Loaded(weights)
        self._blocks = Blocks(self._loaded, "transformer", weights.spec.layers)

    def read(self, rows: NDArray[np.int32], known: Known | None = None) -> tuple[Doubles, Known]:
        """Rows behind those that are known, `rows` [rows, 1 + codebooks]; gives the hidden states
        [rows, hidden]."""
        past = self._blocks.nothing() if known is None else known.caches
        hidden = np.array([self._embedded(row) for row in rows])
        hidden, caches = self._blocks.forward(hidden, past)
        return hidden, Known(caches)

    def _embedded(self, row: NDArray[np.int32]) -> Doubles:
        text, *codes = row.tolist()
        each = [self._loaded.code(channel, code) for channel, code in enumerate(codes)]
        total: Doubles = np.sum([self._loaded.text(text), *each], axis=0)
        return total
