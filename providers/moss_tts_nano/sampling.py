"""From logits to a token on the host, step by step as the official runtime does it.

For equal logits and equal random numbers the tokens are equal to the last bit: what is float32
there is float32 here, what is added one by one there is added one by one here. Source: OpenMOSS/
MOSS-TTS-Nano, `ort_cpu_runtime.py`, commit 42b4645, with numpy 2. (The graph that samples inside
itself orders its candidates otherwise, so that it gives other tokens for the same numbers.)
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from providers.moss_tts_nano.metadata import GenerationDefaults
from providers.moss_tts_nano.parts import Floats

Doubles = NDArray[np.float64]
Scores = TypeVar("Scores", Floats, Doubles)


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens are chosen; the defaults are the published model's."""

    text_temperature: float = 1.0
    text_top_p: float = 1.0
    text_top_k: int = 50
    audio_temperature: float = 0.8
    audio_top_p: float = 0.95
    audio_top_k: int = 25
    repetition_penalty: float = 1.2
    """What divides the positive logit of a code that was heard before, and multiplies a negative
    one."""


def sampling_of(defaults: GenerationDefaults) -> Sampling:
    """What the model's makers set."""
    return Sampling(
        text_temperature=defaults.text_temperature,
        text_top_p=defaults.text_top_p,
        text_top_k=defaults.text_top_k,
        audio_temperature=defaults.audio_temperature,
        audio_top_p=defaults.audio_top_p,
        audio_top_k=defaults.audio_top_k,
        repetition_penalty=defaults.audio_repetition_penalty,
    )


def goes_on(continue_logit: float, stop_logit: float) -> bool:
    """The greedy choice between one more frame and the end; a tie goes on."""
    return continue_logit >= stop_logit


def best_code(logits: Floats, seen: NDArray[np.bool_], penalty: float) -> int:
    """The greedy code of one codebook; of equal ones the first. `logits`, `seen`: [size]."""
    scores = logits.astype(np.float64)  # the official loop compares Python numbers
    if penalty != 1.0:
        scores = np.where(seen, penalized(scores, penalty), scores)
    return int(np.argmax(scores))


def sampled_goes_on(logits: Floats, sampling: Sampling, u: float) -> bool:
    """Whether one more frame is drawn; `logits` [2]: of going on, and of the end."""
    index = draw(
        logits,
        u,
        temperature=sampling.text_temperature,
        top_k=min(sampling.text_top_k, logits.size),
        top_p=sampling.text_top_p,
    )
    return index == 0


def sampled_code(logits: Floats, seen: NDArray[np.bool_], sampling: Sampling, u: float) -> int:
    """The code that is drawn for one codebook. `logits`, `seen`: [size]."""
    penalty = sampling.repetition_penalty
    if penalty != 1.0 and seen.any():
        logits = np.where(seen, penalized(logits, penalty), logits)
    return draw(
        logits,
        u,
        temperature=sampling.audio_temperature,
        top_k=sampling.audio_top_k,
        top_p=sampling.audio_top_p,
    )


def penalized(scores: Scores, penalty: float) -> Scores:
    return np.where(scores < 0, scores * penalty, scores / penalty)


def draw(logits: Floats, u: float, *, temperature: float, top_k: int, top_p: float) -> int:
    """An index, drawn by `u`, uniform in [0, 1).

    Equal scores at the top-k border all stay. The probabilities are walked in the order of their
    index, not of their size.
    """
    scores = logits / np.float32(temperature)
    if 0 < top_k < scores.size:
        scores[scores < np.sort(scores)[-top_k]] = -np.inf
    if 0 < top_p < 1:
        scores[_outside(scores, top_p)] = -np.inf
    left = np.subtract.accumulate(np.concatenate(([u], softmax(scores))))[1:]
    passed = np.flatnonzero(left <= 0)
    return int(passed[0]) if passed.size else int(np.argmax(scores))


def _outside(scores: Floats, top_p: float) -> NDArray[np.intp]:
    """The indices beyond the nucleus; the one that crosses `top_p` is still within."""
    order = np.argsort(-scores, kind="stable")
    crossed = np.cumsum(softmax(scores[order])) > top_p
    return order[1:][crossed[:-1]]


def softmax(scores: Floats) -> Doubles:
    """Shifted in float32, summed in float64."""
    exponentials = np.exp((scores - scores.max()).astype(np.float64))
    total: Doubles = exponentials / exponentials.sum()
    return total
