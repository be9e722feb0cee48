"""How one token is taken by its logits and a chance."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.support.moss_numpy.arithmetic import Doubles, softmax


class Settings(msgspec.Struct, frozen=True):
    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 25
    repetition: float = 1.2


FIXED = Settings()
"""Those that the graph of fixed frames has within."""


def penalised(logits: Doubles, seen: NDArray[np.int32], repetition: float) -> Doubles:
    """`seen` is 1 where that token was taken before."""
    paid = np.where(logits < 0, logits * repetition, logits / repetition)
    return np.where(seen > 0, paid, logits)


def drawn_best_first(logits: Doubles, chance: float, settings: Settings = FIXED) -> int:
    """As fixed frames do: the best ones are passed in falling order until the chance is used up.
    One is passed if what stands before it already has the share top-p."""
    scores = logits / settings.temperature
    best = np.argsort(-scores, kind="stable")[: settings.top_k]
    shares = softmax(scores[best])
    kept = np.cumsum(shares) - shares < settings.top_p
    shares = softmax(np.where(kept, scores[best], -np.inf))
    passed = int(np.sum(np.cumsum(shares) < chance))
    return int(best[min(passed, settings.top_k - 1)])


def drawn_by_id(logits: NDArray[np.float32], chance: float, settings: Settings = FIXED) -> int:
    """As the sampling outside of graphs does: tokens are passed in the order of their ids. Scores
    are float32, shares float64."""
    scores = logits.astype(np.float32) / np.float32(settings.temperature)
    if settings.top_k < len(scores):
        scores = np.where(scores < np.sort(scores)[-settings.top_k], -np.inf, scores)
    if settings.top_p < 1:
        order = np.argsort(-scores, kind="stable")
        before = np.cumsum(softmax(scores[order].astype(np.float64)))[:-1]
        scores[order[1:][before > settings.top_p]] = -np.inf
    for token, share in enumerate(softmax(scores.astype(np.float64))):
        chance -= float(share)
        if chance <= 0:
            return token
    return int(np.argmax(scores))
