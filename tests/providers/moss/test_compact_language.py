"""The compact language model against the shipped one, and against itself in other company."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from providers.moss_tts_nano.compact.build import Precision
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.parts import Floats, LanguageModel, Seat
from tests.providers.moss.compacted import Accompanied, alone, compacted, prompt_of, spoken_of
from tests.providers.moss.tiny import Tiny

NEAR = 2e-5


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=["exact", "int8", "int8-blocks"])
def compact(
    request: pytest.FixtureRequest, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory
) -> Compact:
    return compacted(tiny, tmp_path_factory.mktemp("cache"), request.param)


@pytest.fixture(scope="module")
def exact(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Compact:
    return compacted(tiny, tmp_path_factory.mktemp("cache"))


def test_its_hidden_states_are_those_of_the_shipped_graphs(tiny: Tiny, exact: Compact) -> None:
    prompt, frames = prompt_of(tiny, 0, 5), spoken_of(tiny, 8, seed=1)
    expected = alone(tiny.reference.language_model(1, 200), prompt, frames)
    states = alone(exact.language_model(1, 200), prompt, frames)
    assert np.abs(np.stack(states) - np.stack(expected)).max() < NEAR


@pytest.mark.parametrize("is_alone", [True, False])
def test_eight_bits_are_near_the_shipped_graphs(
    tiny: Tiny, compact: Compact, *, is_alone: bool
) -> None:
    prompt, frames = prompt_of(tiny, 0, 5), spoken_of(tiny, 8, seed=1)
    expected = np.stack(alone(tiny.reference.language_model(1, 200), prompt, frames))
    model = compact.language_model(2, 200)
    found = np.stack(alone(model if is_alone else Accompanied(model, prompt), prompt, frames))
    noise = found - expected
    assert 10 * np.log10((expected**2).mean() / (noise**2).mean()) > 30


def test_more_threads_make_no_other_numbers(tiny: Tiny, exact: Compact, tmp_path: Path) -> None:
    prompt, frames = prompt_of(tiny, 0, 5), spoken_of(tiny, 8, seed=1)
    narrow = compacted(tiny, tmp_path, wide=1)
    states = [alone(one.language_model(1, 200), prompt, frames) for one in (narrow, exact)]
    assert np.array_equal(states[0], states[1])


@pytest.mark.parametrize("precision", ["exact", "int8-blocks"])
def test_sequences_come_and_go_and_each_is_as_it_is_alone(
    tiny: Tiny, tmp_path: Path, precision: Precision
) -> None:
    come_and_go(tiny, compacted(tiny, tmp_path, precision).language_model(4, 200))


def test_eight_bits_tell_whether_there_is_company_and_not_which(
    tiny: Tiny, compact: Compact
) -> None:
    come_and_go(tiny, Accompanied(compact.language_model(5, 200), prompt_of(tiny, 2, 1)))


def come_and_go(tiny: Tiny, model: LanguageModel) -> None:
    """To the last bit: nobody's neighbours, place or company of past steps can be told."""
    prompts = [prompt_of(tiny, at % 3, 2 + at % 4) for at in range(9)]
    frames = [spoken_of(tiny, 3 + 2 * (at % 4), seed=at) for at in range(9)]
    expected = [alone(model, *each) for each in zip(prompts, frames, strict=True)]
    chance = np.random.default_rng(5)
    seated: dict[int, Seat] = {}
    heard: list[list[Floats]] = [[] for _ in range(9)]
    waiting = list(range(9))
    while waiting or seated:
        if waiting and len(seated) < 4:
            at = waiting.pop(0)
            seated[at], hidden = model.join(prompts[at])
            heard[at].append(hidden)
        some = [at for at in seated if chance.random() < 0.8] or list(seated)
        chance.shuffle(some)
        rows = np.stack([frames[at][len(heard[at]) - 1] for at in some])
        for at, hidden in zip(some, model.step([seated[at] for at in some], rows), strict=True):
            heard[at].append(hidden)
            if len(heard[at]) > len(frames[at]):
                model.leave(seated.pop(at))
    for at in range(9):
        assert np.array_equal(np.stack(heard[at]), np.stack(expected[at])), at


def test_a_prompt_behind_a_kept_prefix_is_as_if_read_at_once(tiny: Tiny, compact: Compact) -> None:
    model = compact.language_model(3, 200)
    prompt, frames = prompt_of(tiny, 0, 5), spoken_of(tiny, 4, seed=2)
    expected = alone(Accompanied(model, prompt), prompt, frames)
    other, _ = model.join(prompt_of(tiny, 1, 3))
    seat, _ = model.join(prompt[:60])
    prefix = model.keep(seat, 50)
    model.leave(seat)
    assert prefix is not None
    for _ in range(2):  # it serves more than once
        seat, hidden = model.join(prompt[50:], prefix)
        assert seat.length == len(prompt)
        after = [model.step([other, seat], np.stack([frames[0], row]))[1] for row in frames]
        assert np.array_equal(np.stack([hidden, *after]), np.stack(expected))
        model.leave(seat)


def test_a_prefix_tells_its_size(tiny: Tiny, exact: Compact) -> None:
    model = exact.language_model(1, 200)
    seat, _ = model.join(prompt_of(tiny, 0, 5))
    prefix = model.keep(seat, 30)
    assert prefix is not None
    numbers = 2 * tiny.layout.tts.model_config.global_layers * tiny.shape.hidden * 30
    assert (prefix.length, prefix.size_bytes) == (30, 4 * numbers)


def test_seats_and_their_length_are_bounded(tiny: Tiny, exact: Compact) -> None:
    prompt = prompt_of(tiny, 0, 5)
    model = exact.language_model(2, len(prompt) + 1)
    first, _ = model.join(prompt)
    model.join(prompt)
    with pytest.raises(ValueError, match="taken"):
        model.join(prompt)
    rows = spoken_of(tiny, 1, seed=0)
    model.step([first], rows)
    with pytest.raises(ValueError, match="full"):
        model.step([first], rows)
    model.leave(first)
    model.leave(first)
    with pytest.raises(ValueError, match="left"):
        model.step([first], rows)
    with pytest.raises(ValueError, match="more than"):
        model.join(np.concatenate([prompt, prompt]))
    model.join(prompt)
