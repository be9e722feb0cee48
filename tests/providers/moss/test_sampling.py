"""Host sampling: the arithmetic of the official runtime, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from providers.moss_tts_nano.parts import Floats
from providers.moss_tts_nano.sampling import (
    Sampling,
    best_code,
    draw,
    goes_on,
    sampled_code,
    sampled_goes_on,
)

SIZE = 64


def by_hand(logits: Floats, u: float, temperature: float, top_k: int, top_p: float) -> int:
    """The rule, candidate by candidate with Python's own numbers."""
    scores = [float(np.float32(logit) / np.float32(temperature)) for logit in logits]
    if 0 < top_k < len(scores):
        border = sorted(scores, reverse=True)[top_k - 1]
        scores = [score if score >= border else -math.inf for score in scores]
    if 0 < top_p < 1:
        ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
        heard = 0.0
        for index, chance in zip(ranked, chances(scores[index] for index in ranked), strict=True):
            if heard > top_p:
                scores[index] = -math.inf
            heard += chance
    for index, chance in enumerate(chances(scores)):
        u -= chance
        if u <= 0:
            return index
    return scores.index(max(scores))


def chances(values: Iterable[float]) -> list[float]:
    scores = list(values)
    most = np.float32(max(scores))
    shifted = np.array([np.float32(score) - most for score in scores], np.float64)
    exponentials = np.exp(shifted)
    return [float(chance) for chance in exponentials / np.sum(exponentials)]


@pytest.mark.parametrize("seed", range(8))
def test_a_draw_is_the_one_that_the_rule_gives_by_hand(seed: int) -> None:
    chance = np.random.default_rng(seed)
    for _ in range(60):
        logits = chance.normal(0, 3, SIZE).astype(np.float32)
        if chance.random() < 0.5:
            logits = np.round(logits)  # many equal ones
        u = float(chance.random())
        temperature = float(chance.uniform(0.3, 1.6))
        top_k = int(chance.integers(0, SIZE + 8))
        top_p = float(chance.choice([0.0, 0.3, 0.8, 0.95, 1.0]))
        got = draw(logits, u, temperature=temperature, top_k=top_k, top_p=top_p)
        assert got == by_hand(logits, u, temperature, top_k, top_p)


def test_candidates_are_walked_by_their_index_and_not_by_their_size() -> None:
    logits = np.log(np.array([0.2, 0.5, 0.3], np.float32))
    drawn = [draw(logits, u, temperature=1.0, top_k=0, top_p=1.0) for u in (0.1, 0.3, 0.6, 0.8)]
    assert drawn == [0, 1, 1, 2]


def test_equal_scores_at_the_top_k_border_all_stay() -> None:
    logits = np.array([1, 0, 1, 1, -5], np.float32)
    drawn = {draw(logits, u / 100, temperature=1.0, top_k=2, top_p=1.0) for u in range(1, 100)}
    assert drawn == {0, 2, 3}


def test_the_candidate_that_crosses_top_p_still_stays() -> None:
    logits = np.log(np.array([0.6, 0.3, 0.1], np.float32))
    drawn = {draw(logits, u / 100, temperature=1.0, top_k=0, top_p=0.7) for u in range(1, 100)}
    assert drawn == {0, 1}


def test_what_rounding_leaves_over_goes_to_the_likeliest() -> None:
    just_below_one = float(np.nextafter(1.0, 0.0))
    chance = np.random.default_rng(0)
    left_over = 0
    for _ in range(200):
        logits = chance.normal(0, 3, SIZE).astype(np.float32)
        got = draw(logits, just_below_one, temperature=1.0, top_k=0, top_p=1.0)
        assert got == by_hand(logits, just_below_one, 1.0, 0, 1.0)
        left_over += got == int(np.argmax(logits))
    assert left_over


def test_a_code_that_was_heard_becomes_less_likely_on_either_side_of_zero() -> None:
    nothing = np.zeros(3, bool)
    first = np.array([True, False, False])
    above = np.array([1.1, 1.0, 0.0], np.float32)
    below = np.array([-1.0, -1.1, -9.0], np.float32)
    assert best_code(above, nothing, 1.2) == 0
    assert best_code(above, first, 1.2) == 1
    assert best_code(below, nothing, 1.2) == 0
    assert best_code(below, first, 1.2) == 1
    assert best_code(above, first, 1.0) == 0


def test_the_first_of_equal_codes_wins_and_a_tie_goes_on() -> None:
    assert best_code(np.array([1, 2, 2], np.float32), np.zeros(3, bool), 1.2) == 1
    assert goes_on(0.5, 0.5)
    assert not goes_on(0.5, 0.6)


def test_the_penalty_is_taken_in_float32_before_the_temperature() -> None:
    chance = np.random.default_rng(4)
    logits = chance.normal(0, 3, SIZE).astype(np.float32)
    seen = chance.random(SIZE) < 0.4
    sampling = Sampling(audio_temperature=0.8, audio_top_k=25, audio_top_p=0.95)
    heard = [
        np.float32(x) * np.float32(1.2) if x < 0 else np.float32(x) / np.float32(1.2)
        for x in logits
    ]
    penalized = np.where(seen, np.array(heard, np.float32), logits)
    for u in chance.random(40):
        expected = by_hand(penalized, float(u), 0.8, 25, 0.95)
        assert sampled_code(logits, seen, sampling, float(u)) == expected


def test_the_end_is_drawn_between_two_candidates_only() -> None:
    sampling = Sampling()
    even = np.zeros(2, np.float32)
    assert sampled_goes_on(even, sampling, 0.49)
    assert not sampled_goes_on(even, sampling, 0.51)
    sure = np.array([9.0, -9.0], np.float32)
    assert sampled_goes_on(sure, sampling, 0.999)


def test_logits_are_left_as_they_came() -> None:
    logits = np.array([3, 2, 1, 0], np.float32)
    logits.setflags(write=False)
    seen = np.array([True, False, False, False])
    sampled_code(logits, seen, Sampling(audio_top_k=2, audio_top_p=0.5), 0.3)
    best_code(logits, seen, 1.2)
