"""The shipped language model behind the promise, against the plain forward of its weights."""

from __future__ import annotations

import numpy as np
import pytest

from providers.moss_tts_nano.parts import Floats, Ints, LanguageModel
from providers.moss_tts_nano.prompt import Prompt
from tests.providers.moss.tiny import TOKENS, Tiny

NEAR = 1e-4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"))


def rows(tiny: Tiny, voice: int, tokens: int) -> Ints:
    return Prompt(tiny.layout.manifest).whole(tiny.voice(voice), TOKENS[:tokens])


def spoken(tiny: Tiny, frames: int, seed: int = 0) -> Ints:
    return Prompt(tiny.layout.manifest).spoken(tiny.codes(frames, seed))


def alone(model: LanguageModel, prompt: Ints, frames: Ints) -> list[Floats]:
    seat, hidden = model.join(prompt)
    states = [hidden, *(model.step([seat], row[None])[0] for row in frames)]
    model.leave(seat)
    return states


def test_a_prompt_and_the_rows_after_it_give_the_hidden_states_of_the_plain_forward(
    tiny: Tiny,
) -> None:
    prompt, frames = rows(tiny, 0, 5), spoken(tiny, 6)
    states = alone(tiny.reference.language_model(1, 200), prompt, frames)
    expected, known = tiny.language_model.read(prompt)
    assert states[0] == pytest.approx(expected[-1], abs=NEAR)
    for state, row in zip(states[1:], frames, strict=True):
        hidden, known = tiny.language_model.read(row[None], known)
        assert state == pytest.approx(hidden[-1], abs=NEAR)


def test_sequences_of_any_length_step_together_as_they_do_alone(tiny: Tiny) -> None:
    model = tiny.reference.language_model(3, 200)
    prompts = [rows(tiny, 0, 5), rows(tiny, 1, 2), rows(tiny, 2, 4)]
    frames = [spoken(tiny, 5, seed) for seed in range(3)]
    expected = [alone(model, *each) for each in zip(prompts, frames, strict=True)]
    first, _ = model.join(prompts[0])
    model.step([first], frames[0][:1])
    second, third = (model.join(prompt)[0] for prompt in prompts[1:])
    for step in range(3):
        after = [frames[0][step + 1], frames[1][step], frames[2][step]]
        together = model.step([first, second, third], np.stack(after))
        assert together.shape == (3, tiny.shape.hidden)
        assert (together[0] == expected[0][step + 2]).all()
        assert (together[1] == expected[1][step + 1]).all()
        assert (together[2] == expected[2][step + 1]).all()
    assert [seat.length for seat in (first, second)] == [len(prompts[0]) + 4, len(prompts[1]) + 3]


def test_seats_are_bounded_and_free_again_when_somebody_leaves(tiny: Tiny) -> None:
    model = tiny.reference.language_model(1, 200)
    prompt = rows(tiny, 0, 1)
    seat, _ = model.join(prompt)
    with pytest.raises(ValueError, match="seats"):
        model.join(prompt)
    model.leave(seat)
    model.leave(seat)
    other, _ = model.join(prompt)
    model.leave(seat)
    with pytest.raises(ValueError, match="seats"):
        model.join(prompt)
    model.leave(other)


def test_a_sequence_does_not_outgrow_its_seat(tiny: Tiny) -> None:
    prompt, frames = rows(tiny, 0, 1), spoken(tiny, 2)
    model = tiny.reference.language_model(1, len(prompt) + 1)
    seat, _ = model.join(prompt)
    model.step([seat], frames[:1])
    with pytest.raises(ValueError, match="full"):
        model.step([seat], frames[1:])
    model.leave(seat)
    with pytest.raises(ValueError, match="longer"):
        model.join(np.concatenate([prompt, frames]))


def test_the_shipped_graphs_keep_no_prefix(tiny: Tiny) -> None:
    model = tiny.reference.language_model(1, 200)
    seat, _ = model.join(rows(tiny, 0, 1))
    assert model.keep(seat, 3) is None
