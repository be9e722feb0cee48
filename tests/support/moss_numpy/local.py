"""The local transformer: from a hidden state to the codes of one frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.moss_numpy.arithmetic import Doubles, softmax
from tests.support.moss_numpy.blocks import Blocks
from tests.support.moss_numpy.choices import FIXED, drawn_best_first, penalised
from tests.support.moss_numpy.loaded import Loaded
from tests.support.tiny_moss.weights import GOES_ON, STOPS, Weights

Floating = NDArray[np.floating[Any]]
Seen = NDArray[np.int32]
"""[codebooks, codebook size], 1 where the row has had that code."""


class Local:
    def __init__(self, weights: Weights) -> None:
        self.spec = weights.spec
        self._loaded = Loaded(weights)
        self._blocks = Blocks(self._loaded, "local_transformer", 1)

    def logits(
        self, hidden: Floating, text: int, codes: Sequence[int]
    ) -> tuple[Doubles, list[Doubles]]:
        """Of the text, and of each channel up to the one behind the codes that are given. `hidden`
        [hidden]; a code may be the padding."""
        inputs = [hidden.astype(np.float64), self._loaded.text(text)]
        inputs += [self._loaded.code(channel, code) for channel, code in enumerate(codes)]
        states, _ = self._blocks.forward(np.array(inputs), self._blocks.nothing())
        first, *rest = states
        tables = [self._loaded[f"audio_embeddings.{at}.weight"] for at in range(len(rest))]
        return self._loaded["transformer.wte.weight"] @ first, [
            table @ state for table, state in zip(tables, rest, strict=True)
        ]

    def fixed(
        self, hidden: Floating, seen: Seen, chance: float, chances: Sequence[float]
    ) -> tuple[bool, list[int]]:
        """Whether the speech goes on, and the codes of this frame."""
        text, _ = self.logits(hidden, GOES_ON, ())
        goes_on = chance <= softmax(text[[GOES_ON, STOPS]])[0]

        def choose(channel: int, logits: Doubles) -> int:
            paid = penalised(logits, seen[channel], FIXED.repetition)
            return drawn_best_first(paid, chances[channel])

        return bool(goes_on), self._frame(hidden, bool(goes_on), choose)

    def greedy(
        self, hidden: Floating, seen: Seen, repetition: float = FIXED.repetition
    ) -> tuple[bool, list[int]]:
        """The same; where both text tokens are as good, the speech goes on."""
        text, _ = self.logits(hidden, GOES_ON, ())
        goes_on = text[GOES_ON] >= text[STOPS]

        def choose(channel: int, logits: Doubles) -> int:
            return int(np.argmax(penalised(logits, seen[channel], repetition)))

        return bool(goes_on), self._frame(hidden, bool(goes_on), choose)

    def _frame(
        self, hidden: Floating, goes_on: bool, choose: Callable[[int, Doubles], int]
    ) -> list[int]:
        """Each channel's code is known to those behind it."""
        text, codes = GOES_ON if goes_on else STOPS, list[int]()
        while len(codes) < self.spec.codebooks:
            _, audio = self.logits(hidden, text, codes)
            codes.append(choose(len(codes), audio[-1]))
        return codes
