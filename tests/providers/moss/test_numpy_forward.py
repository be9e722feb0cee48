"""Every graph that the writer makes gives what the model's description says, computed in plain
numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.providers.moss.conftest import MossDirectory
from tests.providers.moss.shipped import Arrays, Shipped
from tests.support.moss_numpy import Codec, Known, LanguageModel, Local
from tests.support.tiny_moss import STYLES, TINY, Weights
from tests.support.tiny_moss.spec import Stage

SEED = 11
CLOSE = 1e-5
"""How far float32 is off: a few of its last bits behind some layers."""
SPEC = msgspec.structs.replace(TINY, greedy_frame=True, stop_margin=1.0)
"""Frames that end are common, so that both kinds are met."""


@pytest.fixture(scope="module", params=STYLES)
def shipped(request: pytest.FixtureRequest, moss_directory: MossDirectory) -> Shipped:
    return Shipped(moss_directory(spec=SPEC, seed=SEED, style=STYLES[request.param]))


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(SPEC, SEED)


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(5)


def prompt(chance: np.random.Generator, length: int) -> NDArray[np.int32]:
    """Rows of text, and others with codes."""
    rows = chance.integers(SPEC.codebook_size, size=(length, SPEC.codebooks + 1), dtype=np.int32)
    rows[: length // 2, 1:] = SPEC.codebook_size
    rows[:, 0] = chance.integers(SPEC.vocabulary, size=length)
    return rows


def close(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and bool(np.abs(one - other).max(initial=0) < CLOSE)


def caches(out: Arrays, row: int, length: int) -> Iterator[NDArray[Any]]:
    for layer in range(SPEC.layers):
        yield out[f"present_key_{layer}"][row, :length]
        yield out[f"present_value_{layer}"][row, :length]


def expected_caches(known: Known) -> Iterator[NDArray[np.float64]]:
    for keys, values in known.caches:
        yield keys
        yield values


@pytest.mark.parametrize("lengths", [(9,), (14, 3, 8)])
def test_a_prompt_is_read_as_described_beside_shorter_ones_too(
    shipped: Shipped, weights: Weights, chance: np.random.Generator, lengths: tuple[int, ...]
) -> None:
    prompts = [prompt(chance, length) for length in lengths]
    rows = np.zeros((len(lengths), max(lengths), SPEC.codebooks + 1), np.int32)
    mask = np.zeros(rows.shape[:2], np.int32)
    for at, one in enumerate(prompts):
        rows[at, : len(one)], mask[at, : len(one)] = one, 1

    out = shipped.run("prefill", input_ids=rows, attention_mask=mask)

    for at, one in enumerate(prompts):
        hidden, known = LanguageModel(weights).read(one)
        assert close(out["global_hidden"][at, : len(one)], hidden)
        assert not out["global_hidden"][at, len(one) :].any()
        for mine, theirs in zip(caches(out, at, len(one)), expected_caches(known), strict=True):
            assert close(mine, theirs)


def test_rows_before_a_prompt_that_are_masked_do_not_change_it(
    shipped: Shipped, weights: Weights, chance: np.random.Generator
) -> None:
    rows = prompt(chance, 10)
    mask = np.array([0, 0, 0, *[1] * 7], np.int32)

    out = shipped.run("prefill", input_ids=rows[None], attention_mask=mask[None])

    hidden, _ = LanguageModel(weights).read(rows[3:])
    assert close(out["global_hidden"][0, 3:], hidden)


def test_a_row_is_appended_as_described(
    shipped: Shipped, weights: Weights, chance: np.random.Generator
) -> None:
    model, rows = LanguageModel(weights), np.stack([prompt(chance, 12) for _ in range(2)])
    ones = np.ones((2, 7), np.int32)
    out = shipped.run("prefill", input_ids=rows[:, :7], attention_mask=ones)
    known = [model.read(row[:7])[1] for row in rows]

    for step in range(7, 12):
        past = {
            name.replace("present", "past"): value
            for name, value in out.items()
            if name.startswith("present")
        }
        valid, fresh = np.full(2, step, np.int32), rows[:, step : step + 1]
        out = shipped.run("decode_step", input_ids=fresh, past_valid_lengths=valid, **past)
        for at in range(2):
            hidden, known[at] = model.read(fresh[at], known[at])
            assert close(out["global_hidden"][at], hidden)
            expected = expected_caches(known[at])
            for mine, theirs in zip(caches(out, at, step + 1), expected, strict=True):
                assert close(mine, theirs)


def states(chance: np.random.Generator, rows: int) -> NDArray[np.float32]:
    return chance.standard_normal((rows, SPEC.hidden), dtype=np.float32)


@pytest.mark.parametrize("given", range(SPEC.codebooks))
def test_the_decoder_without_a_cache_gives_the_logits_of_all_heads(
    shipped: Shipped, weights: Weights, chance: np.random.Generator, given: int
) -> None:
    hidden = states(chance, 1)
    codes = chance.integers(SPEC.codebook_size, size=given).tolist()
    codes += [SPEC.codebook_size] * (SPEC.codebooks - 1 - given)

    out = shipped.run(
        "local_decoder",
        global_hidden=hidden,
        text_token_id=np.array([9], np.int32),
        audio_prefix_token_ids=np.array([codes], np.int32),
    )

    text, audio = Local(weights).logits(hidden[0], 9, codes)
    assert close(out["text_logits"][0], text)
    assert close(out["audio_logits"][0], np.array(audio))


def test_steps_with_a_cache_give_the_logits_of_the_same_frame(
    shipped: Shipped, weights: Weights, chance: np.random.Generator
) -> None:
    rows, local = 3, Local(weights)
    hidden = states(chance, rows)
    codes = chance.integers(SPEC.codebook_size, size=(rows, SPEC.codebooks), dtype=np.int32)
    texts = np.array([9, 7, 9], np.int32)
    expected = [
        local.logits(one, int(text), mine[:-1].tolist())
        for one, text, mine in zip(hidden, texts, codes, strict=True)
    ]
    past = np.zeros((rows, 0, SPEC.heads, SPEC.head_width), np.float32)
    keys = values = past

    for step in range(SPEC.codebooks + 1):
        channel = max(step - 2, 0)
        out = shipped.run(
            "local_cached_step",
            global_hidden=hidden,
            text_token_id=texts,
            audio_token_id=codes[:, channel],
            channel_index=np.full(rows, channel, np.int32),
            step_type=np.full(rows, min(step, 2), np.int32),
            past_valid_lengths=np.full(rows, step, np.int32),
            local_past_key_0=keys,
            local_past_value_0=values,
        )
        keys, values = out["local_present_key_0"], out["local_present_value_0"]
        for row, (text, audio) in enumerate(expected):
            if step == 0:
                assert close(out["text_logits"][row], text)
            else:
                assert close(out["audio_logits"][row, step - 1], audio[step - 1])


def seen(chance: np.random.Generator, rows: int) -> NDArray[np.int32]:
    shape = (rows, SPEC.codebooks, SPEC.codebook_size)
    return (chance.random(shape) < 0.3).astype(np.int32)


def test_fixed_frames_are_drawn_as_described(
    shipped: Shipped, weights: Weights, chance: np.random.Generator
) -> None:
    rows, local = 24, Local(weights)
    hidden, before = states(chance, rows), seen(chance, rows)
    text = chance.random(rows, dtype=np.float32)
    audio = chance.random((rows, SPEC.codebooks), dtype=np.float32)
    audio[0], audio[1] = 0, 0.9999  # nearer to 1 the last bit of a float32 sum decides

    out = shipped.run(
        "local_fixed_sampled_frame",
        global_hidden=hidden,
        repetition_seen_mask=before,
        assistant_random_u=text,
        audio_random_u=audio,
    )

    ended = set()
    for row in range(rows):
        goes_on, codes = local.fixed(hidden[row], before[row], text[row], audio[row].tolist())
        assert out["should_continue"][row].tolist() == [goes_on]
        assert out["frame_token_ids"][row].tolist() == codes
        ended.add(not goes_on)
    assert ended == {True, False}


@pytest.mark.parametrize("penalty", [1.2, 1.0, 3.0])
def test_greedy_frames_take_the_best_as_described(
    shipped: Shipped, weights: Weights, chance: np.random.Generator, penalty: float
) -> None:
    rows, local = 12, Local(weights)
    hidden, before = states(chance, rows), seen(chance, rows)

    out = shipped.run(
        "local_greedy_frame",
        global_hidden=hidden,
        repetition_seen_mask=before,
        repetition_penalty=np.full(rows, penalty, np.float32),
    )

    for row in range(rows):
        goes_on, codes = local.greedy(hidden[row], before[row], penalty)
        assert out["should_continue"][row].tolist() == [goes_on]
        assert out["frame_token_ids"][row].tolist() == codes


def frames(chance: np.random.Generator, count: int) -> NDArray[np.int32]:
    shape = (count, SPEC.codebooks)
    return chance.integers(SPEC.codebook_size, size=shape, dtype=np.int32)


def test_codes_become_samples_as_described_beside_shorter_ones_too(
    shipped: Shipped, weights: Weights, chance: np.random.Generator
) -> None:
    codes, lengths = np.stack([frames(chance, 9), frames(chance, 9)]), np.array([9, 4], np.int32)

    out = shipped.run_codec("decode_full", audio_codes=codes, audio_code_lengths=lengths)

    samples = SPEC.codec.frame_samples
    assert out["audio_lengths"].tolist() == [9 * samples, 4 * samples]
    for at, length in enumerate(lengths):
        expected = Codec(weights).decode(codes[at, :length])
        assert close(out["audio"][at, :, : length * samples], expected)


@pytest.mark.parametrize("pieces", [(1,) * 9, (9,), (1, 2, 4, 2), (5, 1, 3)])
def test_a_stream_of_codes_becomes_the_same_samples_whatever_its_pieces(
    shipped: Shipped, weights: Weights, chance: np.random.Generator, pieces: tuple[int, ...]
) -> None:
    codes, state, heard = frames(chance, 9), shipped.codec_start(), []

    for piece in np.split(codes, np.cumsum(pieces)[:-1]):
        audio, state = shipped.decode_step(piece, state)
        assert audio.shape == (SPEC.codec.channels, len(piece) * SPEC.codec.frame_samples)
        heard.append(audio)

    assert close(np.concatenate(heard, axis=1), Codec(weights).decode(codes))


@pytest.mark.parametrize("beyond", [0, 1, 1700, 3839])
def test_a_clip_becomes_codes_as_described_whole_frames_only(
    shipped: Shipped, weights: Weights, chance: np.random.Generator, beyond: int
) -> None:
    samples = 5 * SPEC.codec.frame_samples + beyond
    clip = 0.2 * chance.standard_normal((1, 2, samples), dtype=np.float32)

    out = shipped.run_codec("encode", waveform=clip, input_lengths=np.array([samples], np.int32))

    assert out["audio_code_lengths"].tolist() == [5]
    assert out["audio_codes"].shape[1] == (5 if beyond == 0 else 6)
    assert out["audio_codes"][0, :5].tolist() == Codec(weights).encode(clip[0]).tolist()


def test_a_model_of_another_size_gives_what_is_described(
    moss_directory: MossDirectory, chance: np.random.Generator
) -> None:
    stages = (Stage(4, 2, 3), Stage(2, 1, 9), Stage(2, 3, 7), Stage(2, 1, 40))
    codec = msgspec.structs.replace(SPEC.codec, stages=stages, width=24, heads=3, latent=16)
    spec = msgspec.structs.replace(SPEC, codebooks=6, hidden=48, heads=6, layers=3, codec=codec)
    shipped, weights = Shipped(moss_directory(spec=spec)), Weights(spec, 0)
    rows = chance.integers(spec.codebook_size, size=(11, 7), dtype=np.int32)

    out = shipped.run("prefill", input_ids=rows[None], attention_mask=np.ones((1, 11), np.int32))
    audio, state = shipped.decode_step(rows[:5, 1:], shipped.codec_start())
    more, _ = shipped.decode_step(rows[5:, 1:], state)

    assert close(out["global_hidden"][0], LanguageModel(weights).read(rows)[0])
    expected = Codec(weights).decode(rows[:, 1:])
    assert close(np.concatenate((audio, more), axis=1), expected)
