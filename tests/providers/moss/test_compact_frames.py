"""The compact frame sampler against the shipped graph: token by token."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from providers.moss_tts_nano.compact import build, local_graph, quantise
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.compact.shipped import CannotRebuild
from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.parts import Draws, Floats, FrameSampler, Ints
from providers.moss_tts_nano.sampling import Sampling
from tests.providers.moss.compacted import alone, compacted, prompt_of, spoken_of
from tests.providers.moss.tiny import Tiny

FRAMES = 60


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"), stop_margin=1.0)


@pytest.fixture(scope="module")
def compact(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Compact:
    return compacted(tiny, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def given(tiny: Tiny) -> tuple[Floats, Ints, Draws]:
    """Hidden states as they come, some codes already heard, and chances."""
    chance = np.random.default_rng(0)
    model = tiny.reference.language_model(1, 300)
    hidden = np.stack(alone(model, prompt_of(tiny, 0, 5), spoken_of(tiny, FRAMES - 1, seed=3)))
    size = (FRAMES, tiny.shape.codebooks, tiny.shape.codebook_size)
    seen = (chance.random(size) < 0.3).astype(np.int32)
    text = chance.random(FRAMES, dtype=np.float32)
    audio = chance.random(size[:2], dtype=np.float32)
    audio[::7] = 0
    return hidden, seen, Draws(text, audio)


@pytest.mark.parametrize("mode", ["fixed", "greedy"])
def test_it_gives_the_tokens_of_the_shipped_graph(
    tiny: Tiny, compact: Compact, given: tuple[Floats, Ints, Draws], mode: Mode
) -> None:
    expected = tiny.reference.sampler(mode).sample(*given)
    frames = compact.sampler(mode).sample(*given)
    assert np.array_equal(frames.goes_on, expected.goes_on)
    assert 0 < frames.goes_on.sum() < FRAMES or mode == "greedy"
    assert np.array_equal(frames.codes[frames.goes_on], expected.codes[expected.goes_on])


def one_by_one(sampler: FrameSampler, hidden: Floats, seen: Ints, draws: Draws) -> list[list[int]]:
    rows = [slice(at, at + 1) for at in range(len(hidden))]
    each = [sampler.sample(hidden[r], seen[r], Draws(draws.text[r], draws.audio[r])) for r in rows]
    return [[int(frame.goes_on[0]), *frame.codes[0].tolist()] for frame in each]


def test_a_row_is_the_same_alone_and_among_others(
    compact: Compact, given: tuple[Floats, Ints, Draws]
) -> None:
    sampler = compact.sampler("fixed")
    together = sampler.sample(*given)
    rows = np.column_stack([together.goes_on, together.codes])
    assert one_by_one(sampler, *given) == rows.tolist()


@pytest.fixture(scope="module")
def eight_bit(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Compact:
    return compacted(tiny, tmp_path_factory.mktemp("cache"), "int8")


def test_eight_bits_draw_nearly_the_same_codes_alone_and_among_others(
    tiny: Tiny, eight_bit: Compact, given: tuple[Floats, Ints, Draws]
) -> None:
    expected = tiny.reference.sampler("fixed").sample(*given)
    right = np.column_stack([expected.goes_on, expected.codes])[expected.goes_on]
    sampler = eight_bit.sampler("fixed")
    together = sampler.sample(*given)
    for found in (
        np.column_stack([together.goes_on, together.codes]),
        np.array(one_by_one(sampler, *given)),
    ):
        assert (found[expected.goes_on] == right).mean() > 0.8


def test_candidates_are_those_that_may_be_drawn(
    tiny: Tiny,
    compact: Compact,
    given: tuple[Floats, Ints, Draws],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of few candidates that are chosen by the right logits, the codes are drawn as of all."""
    monkeypatch.setattr(local_graph, "_CANDIDATES", 1)
    in_two_steps = partial(local_graph.write, rough=quantise.exact)
    monkeypatch.setattr(local_graph, "write", in_two_steps)
    assert build.sampling(tiny.layout).top_k < tiny.shape.codebook_size
    expected = compact.sampler("fixed").sample(*given)
    found = compacted(tiny, tmp_path).sampler("fixed").sample(*given)
    assert np.array_equal(found.goes_on, expected.goes_on)
    assert np.array_equal(found.codes, expected.codes)


def test_what_was_heard_is_not_changed(compact: Compact, given: tuple[Floats, Ints, Draws]) -> None:
    before = given[1].copy()
    compact.sampler("fixed").sample(*given)
    assert np.array_equal(given[1], before)


def test_it_does_not_pretend_to_sample_by_other_rules(compact: Compact) -> None:
    with pytest.raises(CannotRebuild):
        compact.sampler("full")
    with pytest.raises(CannotRebuild):
        compact.sampler("greedy", Sampling(repetition_penalty=1.5))
