"""Random numbers for frames, in the order in which the official runtime draws them.

A frame takes one number for «go on or stop», then one for each codebook, before the graph runs.
The graphs take them as float32 below one; the host's sampling subtracts in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from providers.moss_tts_nano.parts import Draws

Mode = Literal["fixed", "full", "greedy"]
"""`fixed`: the sampling graph with its constants. `full`: sampled here, by settings. `greedy`: the
likeliest."""

BELOW_ONE = 0.99999994
"""The largest float32 below one: a number above would round up to one."""

OFFICIAL_SEED = 1234
"""Where the official runtime's generator starts when nobody names a seed."""


class RowDraws:
    """One row's generator: what a sequence draws does not depend on its neighbours.

    The first chunk's first attempt draws what the official runtime draws for this seed; each
    further chunk, and each attempt to make one again, has a stream of its own.
    """

    def __init__(
        self, seed: int, mode: Mode, codebooks: int, *, chunk: int = 0, attempt: int = 0
    ) -> None:
        seed %= 2**64  # a caller's seed may be negative
        own = [seed, chunk, attempt] if chunk or attempt else seed
        self._generator = np.random.default_rng(own)
        self._codebooks = codebooks
        self.mode = mode

    def frame(self) -> NDArray[np.float64]:
        """The numbers of one frame, [1 + codebooks]; zeros where none are drawn."""
        if self.mode == "greedy":
            return np.zeros(1 + self._codebooks)
        return self._generator.random(1 + self._codebooks)


def stacked(rows: Sequence[NDArray[np.float64]], mode: Mode) -> Draws:
    """One frame's numbers of all rows, as this mode's sampler takes them."""
    numbers: NDArray[Any] = np.stack(rows)
    if mode != "full":
        numbers = np.minimum(numbers, BELOW_ONE).astype(np.float32)
    return Draws(text=numbers[:, 0], audio=np.ascontiguousarray(numbers[:, 1:]))


class OfficialDraws:
    """The official runtime's one generator, which runs on from chunk to chunk.

    It knows one sequence at a time.
    """

    def __init__(self, seed: int, mode: Mode, codebooks: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._codebooks = codebooks
        self._before: Any = None
        self.mode = mode

    def frame(self) -> Draws:
        if self.mode == "greedy":
            return stacked([np.zeros(1 + self._codebooks)], self.mode)
        self._before = self._generator.bit_generator.state
        return stacked([self._generator.random(1 + self._codebooks)], self.mode)

    def stopped(self) -> None:
        """The last frame was the end. `full` draws for the codebooks only when it goes on, so
        they are put back; `fixed` has drawn them."""
        if self.mode == "full":
            self._generator.bit_generator.state = self._before
            self._generator.random()
