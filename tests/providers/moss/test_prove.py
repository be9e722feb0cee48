"""The proof: it finds each thing that can be wrong, and nothing where nothing is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn

import msgspec
import numpy as np
import pytest

from providers.moss_tts_nano.parts import Draws, Floats, Frames, FrameSampler, Ints
from providers.moss_tts_nano.prove import INT8, PARTS, PartName, Proof, Prover, Verdict
from tests.providers.moss.rivals import (
    Altered,
    Changed,
    Drifting,
    Lonely,
    Neighbourly,
    Noisy,
    Remembering,
    Rival,
    Shared,
)
from tests.providers.moss.tiny import Tiny

FRAMES = 16
QUICK: tuple[PartName, ...] = ("language_model", "fixed_frames", "greedy_frames", "decoder")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"), stop_margin=5.0)


@pytest.fixture(scope="module")
def prover(tiny: Tiny) -> Prover:
    return Prover(tiny.reference, tiny.layout, frames=FRAMES, clip_frames=24)


def verdict(prover: Prover, rival: Rival, part: PartName) -> Verdict:
    (found,) = prover.verdicts(rival, [part])
    assert found.part == part
    assert bool(found.why) is not found.proven
    return found


def test_the_shipped_graphs_are_proven_against_themselves(tiny: Tiny, prover: Prover) -> None:
    proof = prover.prove(tiny.without())
    assert [each.part for each in proof.verdicts] == list(PARTS)
    assert [each.why for each in proof.verdicts] == [""] * len(PARTS)
    assert all(proof.holds(part) for part in PARTS)
    told = {each.part: each.measured for each in proof.verdicts}
    assert told["language_model"]["hidden_worst"] == 0
    assert 2 * FRAMES < told["language_model"]["frames"] <= 4 * FRAMES
    assert told["decoder"]["frames"] == 160


def test_a_proof_is_kept_as_json(tiny: Tiny, prover: Prover) -> None:
    proof = prover.prove(tiny.without(), QUICK[:1])
    assert msgspec.json.decode(msgspec.json.encode(proof), type=Proof) == proof
    assert proof.holds("language_model")
    assert not proof.holds("encoder")


@pytest.mark.parametrize(("by", "proven"), [(1e-5, True), (5e-3, False)])
def test_hidden_states_may_be_off_by_a_thousandth(
    tiny: Tiny, prover: Prover, by: float, *, proven: bool
) -> None:
    rival = Rival(tiny.without(), language_model=partial(Noisy, by=by))
    found = verdict(prover, rival, "language_model")
    assert found.proven == proven
    assert 0.8 * by < found.measured["hidden_worst"] < 1.2 * by


def test_a_seat_that_hears_its_neighbour_is_found(tiny: Tiny, prover: Prover) -> None:
    found = verdict(prover, Rival(tiny.without(), language_model=Neighbourly), "language_model")
    assert "hidden states differ" in found.why


@pytest.mark.parametrize(("forgets", "proven"), [(0, True), (1, False)])
def test_a_kept_prefix_is_part_of_the_proof(
    tiny: Tiny, prover: Prover, forgets: int, *, proven: bool
) -> None:
    rival = Rival(tiny.without(), language_model=partial(Remembering, forgets=forgets))
    assert verdict(prover, rival, "language_model").proven == proven


def shuffled(frames: Frames) -> Frames:
    return Frames(frames.goes_on, frames.codes[:, ::-1])


def shuffled_if_alone(frames: Frames) -> Frames:
    return shuffled(frames) if len(frames.codes) == 1 else frames


def forgetful(hidden: Floats, seen: Ints, draws: Draws) -> tuple[Floats, Ints, Draws]:
    return hidden, np.zeros_like(seen), draws


def confused(hidden: Floats, seen: Ints, draws: Draws) -> tuple[Floats, Ints, Draws]:
    """The first row's random numbers for all: right alone, wrong in company."""
    return (
        hidden,
        seen,
        Draws(np.full_like(draws.text, draws.text[0]), draws.audio[:1] + 0 * draws.audio),
    )


@pytest.mark.parametrize(
    ("part", "sampler"),
    [
        ("fixed_frames", partial(Altered, told=shuffled)),
        ("fixed_frames", partial(Altered, asked=forgetful)),
        ("fixed_frames", partial(Altered, asked=confused)),
        ("greedy_frames", partial(Altered, told=shuffled)),
        ("greedy_frames", partial(Altered, asked=forgetful)),
    ],
    ids=["codebooks in disorder", "no penalty", "rows mixed up", "greedy disorder", "no penalty"],
)
def test_a_sampler_with_a_fault_is_found(
    tiny: Tiny, prover: Prover, part: PartName, sampler: Callable[[FrameSampler], FrameSampler]
) -> None:
    found = verdict(prover, Rival(tiny.without(), sampler=sampler), part)
    assert not found.proven
    assert "frames differ" in found.why
    assert found.measured["frames_different"] > 0


def test_8_bit_weights_are_allowed_to_be_near(tiny: Tiny) -> None:
    lenient = Prover(tiny.reference, tiny.layout, INT8, frames=FRAMES)
    near = Rival(tiny.without(), language_model=partial(Noisy, by=2e-3))
    far = Rival(tiny.without(), language_model=partial(Noisy, by=1.0))
    assert verdict(lenient, near, "language_model").proven
    assert "dB" in verdict(lenient, far, "language_model").why


def test_what_is_far_where_one_is_alone_is_not_made_up_for_by_company(tiny: Tiny) -> None:
    lenient = Prover(tiny.reference, tiny.layout, INT8, frames=FRAMES)
    steps = Rival(tiny.without(), language_model=partial(Lonely, by=0.17))
    draws = Rival(tiny.without(), sampler=partial(Altered, told=shuffled_if_alone))
    assert "dB" in verdict(lenient, steps, "language_model").why
    assert "codes are equal" in verdict(lenient, draws, "fixed_frames").why


def test_streams_that_share_a_state_are_found(tiny: Tiny, prover: Prover) -> None:
    found = verdict(prover, Rival(tiny.without(), decoder=Shared), "decoder")
    assert "samples differ" in found.why


def test_sound_that_drifts_away_in_ten_seconds_is_found(tiny: Tiny, prover: Prover) -> None:
    near = Rival(tiny.without(), decoder=partial(Drifting, by=1e-7))
    far = Rival(tiny.without(), decoder=partial(Drifting, by=1e-5))
    assert verdict(prover, near, "decoder").proven
    assert not verdict(prover, far, "decoder").proven


def another_code(codes: Ints) -> Ints:
    codes[:, 0] = (codes[:, 0] + 1) % 32
    return codes


def one_code(codes: Ints) -> Ints:
    codes[-1:, -1] = (codes[-1:, -1] + 1) % 32
    return codes


def shorter(codes: Ints) -> Ints:
    return codes[:-1]


@pytest.mark.parametrize(
    ("change", "why"),
    [(one_code, ""), (another_code, "codes are equal"), (shorter, "number of frames")],
)
def test_an_encoder_may_differ_in_hardly_a_code(
    tiny: Tiny, prover: Prover, change: Callable[[Ints], Ints], why: str
) -> None:
    rival = Rival(tiny.without(), encoder=partial(Changed, change=change))
    found = verdict(prover, rival, "encoder")
    assert why in found.why
    assert found.proven == (not why)


def test_a_part_that_cannot_run_is_not_proven_and_the_rest_is_still_looked_at(
    tiny: Tiny, prover: Prover
) -> None:
    def broken(*_: object) -> NoReturn:
        raise RuntimeError("no such node")

    rival = Rival(tiny.without(), language_model=broken)
    proof = prover.prove(rival, QUICK[:2])
    assert proof.verdicts[0].why == "it failed with RuntimeError: no such node"
    assert proof.holds("fixed_frames")


def test_a_part_whose_numbers_are_none_is_not_proven(tiny: Tiny, prover: Prover) -> None:
    nan = float("nan")
    silent = Rival(tiny.without(), decoder=partial(Drifting, by=nan))
    lost = Rival(tiny.without(), language_model=partial(Noisy, by=nan))
    assert "no numbers" in verdict(prover, silent, "decoder").why
    assert "no numbers" in verdict(prover, lost, "language_model").why


def test_what_has_no_shipped_graph_is_not_proven(tiny: Tiny) -> None:
    lacking = tiny.without("local_fixed_sampled_frame")
    prover = Prover(lacking, lacking.layout, frames=4)
    found = verdict(prover, Rival(tiny.without()), "fixed_frames")
    assert "ships no graph" in found.why
    assert verdict(prover, Rival(tiny.without()), "greedy_frames").proven


def test_a_model_without_voices_or_samples_is_proven_too(tiny: Tiny) -> None:
    manifest = msgspec.structs.replace(tiny.layout.manifest, builtin_voices=(), text_samples=())
    bare = msgspec.structs.replace(tiny.layout, manifest=manifest)
    proof = Prover(tiny.reference, bare, frames=4).prove(tiny.without(), QUICK[:2])
    assert [each.why for each in proof.verdicts] == ["", ""]


def test_a_proof_can_be_left_between_two_parts(tiny: Tiny, prover: Prover) -> None:
    asked: list[str] = []

    def noted(sampler: FrameSampler) -> FrameSampler:
        asked.append("sampler")
        return sampler

    verdicts = prover.verdicts(Rival(tiny.without(), sampler=noted))
    assert next(verdicts).part == "language_model"
    verdicts.close()
    assert asked == []
