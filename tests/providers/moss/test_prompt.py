"""Prompts as rows, against those of the real model."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
import pytest

from providers.moss_tts_nano.metadata import Manifest, ModelFiles, PromptTemplates, TtsConfig
from providers.moss_tts_nano.parts import Ints
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.tokenizer import Tokenizer
from tests.providers.moss.real_data import real

AFTER_REFERENCE = (
    "\n- Instruction:\nNone\n- Tokens:\nNone\n- Quality:\nNone\n- Sound Event:\nNone"
    "\n- Ambient Sound:\nNone\n- Language:\nNone\n- Text:\n"
)


def published() -> Manifest:
    """The real manifest's templates, made from their texts by the real tokenizer."""
    encode = Tokenizer(real("tokenizer.model")).encode_exactly
    templates = PromptTemplates(
        tuple(encode("user\n") + encode("<user_inst>\n- Reference(s):\n")),
        tuple(encode(AFTER_REFERENCE)),
        (*encode("\n</user_inst>"), 5, *encode("\n"), 4, *encode("assistant\n")),
    )
    config = TtsConfig(16, 1024, 3, 4, 5, 6, 7, 8, 9, (1024,) * 16, 16_384)
    return Manifest(ModelFiles("a", "b"), config, templates)


def fixtures() -> list[dict[str, Any]]:
    read = msgspec.json.decode(real("prompt_fixtures_v2.json").read_bytes())
    found: list[dict[str, Any]] = read["fixtures"]
    return found


def codes_of(fixture: dict[str, Any]) -> Ints:
    codes = np.array(fixture["input"]["audio_prompt"]["codes"], np.int32)
    return codes.reshape(-1, 16)


def test_every_published_prompt_is_built_row_for_row() -> None:
    prompt = Prompt(published())
    found = fixtures()
    assert len(found) == 5
    for fixture in found:
        rows = prompt.whole(codes_of(fixture), fixture["input"]["text_token_ids"])
        assert rows.dtype == np.int32
        assert [1, *rows.shape] == fixture["fingerprint"]["shape"], fixture["id"]
        assert rows.reshape(-1).tolist() == fixture["input_ids_full"], fixture["id"]


def test_the_published_hash_of_a_prompt_is_met() -> None:
    prompt = Prompt(published())
    for fixture in fixtures():
        rows = prompt.whole(codes_of(fixture), fixture["input"]["text_token_ids"])
        hashes = {
            hashlib.sha256(rows.astype(kind).tobytes()).hexdigest() for kind in ("<i4", "<i8")
        }
        assert fixture["fingerprint"]["sha256"] in hashes


def test_the_first_part_depends_on_the_voice_alone() -> None:
    prompt = Prompt(published())
    codes = np.arange(7 * 16, dtype=np.int32).reshape(7, 16)
    prefix = prompt.prefix(codes)
    assert len(prefix) == 70 + 7
    for tokens in ([1], [5, 6, 7], list(range(40))):
        whole = prompt.whole(codes, tokens)
        assert (whole[: len(prefix)] == prefix).all()
        assert (whole[len(prefix) :] == prompt.suffix(tokens)).all()
        assert len(prompt.suffix(tokens)) == 7 + len(tokens)


def test_a_frame_that_was_made_is_fed_back_behind_its_slot() -> None:
    prompt = Prompt(published())
    codes = np.arange(32, dtype=np.int32).reshape(2, 16)
    rows = prompt.spoken(codes)
    assert rows[:, 0].tolist() == [9, 9]
    assert (rows[:, 1:] == codes).all()


@pytest.mark.parametrize("frames", [0, 1, 218])
def test_text_rows_carry_padding_and_reference_rows_carry_codes(frames: int) -> None:
    prompt = Prompt(published())
    rows = prompt.prefix(np.full((frames, 16), 5, np.int32))
    slots = rows[:, 0] == 8
    assert slots.sum() == frames
    assert (rows[slots, 1:] == 5).all()
    assert (rows[~slots, 1:] == 1024).all()
