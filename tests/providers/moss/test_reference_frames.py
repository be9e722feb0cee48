"""The shipped local graphs in all modes, against the plain forward of their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from providers.moss_tts_nano.draws import Mode, RowDraws, stacked
from providers.moss_tts_nano.parts import Draws, Floats, Frames, FrameSampler, Ints
from providers.moss_tts_nano.reference import Reference
from providers.moss_tts_nano.sampling import Sampling
from tests.providers.moss.tiny import Tiny
from tests.support.moss_numpy import Settings, drawn_by_id
from tests.support.moss_numpy.choices import penalised

ROWS = 40
GOES_ON, STOPS = 9, 7


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """One that stops now and then."""
    return Tiny(tmp_path_factory.mktemp("tiny"), stop_margin=2.0)


@pytest.fixture(scope="module")
def hidden(tiny: Tiny) -> Floats:
    states = np.random.default_rng(1).normal(0, 1, (ROWS, tiny.shape.hidden))
    return states.astype(np.float32)


@pytest.fixture(scope="module")
def seen(tiny: Tiny) -> Ints:
    chance = np.random.default_rng(2)
    size = (ROWS, tiny.shape.codebooks, tiny.shape.codebook_size)
    return (chance.random(size) < 0.3).astype(np.int32)


def draws(tiny: Tiny, mode: Mode) -> Draws:
    return stacked([RowDraws(s, mode, tiny.shape.codebooks).frame() for s in range(ROWS)], mode)


def drawn(sampler: FrameSampler, hidden: Floats, seen: Ints, draws: Draws) -> list[list[int]]:
    """Codes of each row; none for a row that ends."""
    before = seen.copy()
    frames = sampler.sample(hidden, seen, draws)
    assert (seen == before).all()
    return told(frames)


def told(frames: Frames) -> list[list[int]]:
    rows = zip(frames.goes_on, frames.codes, strict=True)
    return [codes.tolist() if goes_on else [] for goes_on, codes in rows]


def test_fixed_frames_are_those_of_the_plain_forward(
    tiny: Tiny, hidden: Floats, seen: Ints
) -> None:
    numbers = draws(tiny, "fixed")
    expected = [
        tiny.local.fixed(state, heard, float(text), [float(u) for u in audio])
        for state, heard, text, audio in zip(hidden, seen, *numbers, strict=True)
    ]
    got = drawn(tiny.reference.sampler("fixed"), hidden, seen, numbers)
    assert got == [codes if goes_on else [] for goes_on, codes in expected]
    assert 0 < sum(1 for goes_on, _ in expected if not goes_on) < ROWS


def test_a_row_does_not_depend_on_its_neighbours(tiny: Tiny, hidden: Floats, seen: Ints) -> None:
    numbers, sampler = draws(tiny, "fixed"), tiny.reference.sampler("fixed")
    together = drawn(sampler, hidden, seen, numbers)
    for at in range(8):
        one = slice(at, at + 1)
        alone = Draws(numbers.text[one], numbers.audio[one])
        assert drawn(sampler, hidden[one], seen[one], alone) == together[one]


def greedy_by_hand(tiny: Tiny, hidden: Floats, seen: Ints) -> list[list[int]]:
    pairs = [tiny.local.greedy(state, heard) for state, heard in zip(hidden, seen, strict=True)]
    return [codes if goes_on else [] for goes_on, codes in pairs]


def test_greedy_frames_are_those_of_the_plain_forward(
    tiny: Tiny, hidden: Floats, seen: Ints
) -> None:
    got = drawn(tiny.reference.sampler("greedy"), hidden, seen, draws(tiny, "greedy"))
    assert got == greedy_by_hand(tiny, hidden, seen)


def test_the_greedy_graph_is_taken_where_it_is_shipped(
    tmp_path: Path, hidden: Floats, seen: Ints
) -> None:
    tiny = Tiny(tmp_path, stop_margin=2.0, greedy_frame=True)
    assert "local_greedy_frame" in tiny.layout.graphs
    reference = tiny.without("local_cached_step", "local_decoder")
    got = drawn(reference.sampler("greedy"), hidden, seen, draws(tiny, "greedy"))
    assert got == greedy_by_hand(tiny, hidden, seen)


def full_by_hand(tiny: Tiny, sampling: Sampling, state: Floats, heard: Ints, u: Draws) -> list[int]:
    """One row in mode `full`, `u` of that row alone."""
    text, _ = tiny.local.logits(state, GOES_ON, ())
    choice = Settings(sampling.text_temperature, sampling.text_top_p, 2, 1.0)
    pair = text[[GOES_ON, STOPS]].astype(np.float32)
    if drawn_by_id(pair, float(u.text[0]), choice) != 0:
        return []
    settings = Settings(sampling.audio_temperature, sampling.audio_top_p, sampling.audio_top_k)
    codes: list[int] = []
    for codebook in range(tiny.shape.codebooks):
        _, audio = tiny.local.logits(state, GOES_ON, codes)
        logits = penalised(audio[-1], heard[codebook], sampling.repetition_penalty)
        codes.append(drawn_by_id(logits.astype(np.float32), float(u.audio[0, codebook]), settings))
    return codes


@pytest.mark.parametrize(
    "sampling",
    [Sampling(), Sampling(audio_temperature=1.3, audio_top_p=0.6, text_temperature=0.7)],
    ids=["the model's own", "an order's"],
)
def test_full_frames_are_sampled_on_the_host_from_the_plain_forward_s_logits(
    tiny: Tiny, hidden: Floats, seen: Ints, sampling: Sampling
) -> None:
    numbers = draws(tiny, "full")
    got = drawn(tiny.reference.sampler("full", sampling), hidden, seen, numbers)
    for at in range(ROWS):
        own = Draws(numbers.text[at : at + 1], numbers.audio[at : at + 1])
        assert got[at] == full_by_hand(tiny, sampling, hidden[at], seen[at], own), at


@pytest.mark.parametrize("mode", ["greedy", "full"])
def test_without_the_cached_step_the_same_frames_are_recomputed(
    tiny: Tiny, hidden: Floats, seen: Ints, mode: Mode
) -> None:
    numbers = draws(tiny, mode)
    stepping = drawn(tiny.reference.sampler(mode), hidden, seen, numbers)
    recomputing = tiny.without("local_cached_step", "local_fixed_sampled_frame").sampler(mode)
    assert drawn(recomputing, hidden, seen, numbers) == stepping


def test_without_its_graph_fixed_is_sampled_on_the_host(
    tiny: Tiny, hidden: Floats, seen: Ints
) -> None:
    lacking: Reference = tiny.without("local_fixed_sampled_frame")
    assert tiny.reference.sampling_mode("fixed") == "fixed"
    assert lacking.sampling_mode("fixed") == "full"
    numbers = draws(tiny, "full")
    as_full = drawn(tiny.reference.sampler("full"), hidden, seen, numbers)
    assert drawn(lacking.sampler("fixed"), hidden, seen, numbers) == as_full
