"""The real tokenizer, and what somebody's text may not do to it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.moss_tts_nano.layout import BadAssets
from providers.moss_tts_nano.tokenizer import Tokenizer
from tests.providers.moss.real_data import real


class Case(msgspec.Struct):
    text: str
    ids: list[int]


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer(real("tokenizer.model"))


def test_every_golden_case_gives_the_published_tokens() -> None:
    cases = msgspec.json.decode(real("tokenizer_golden.json").read_bytes(), type=list[Case])
    assert len(cases) == 109
    wrong = [case.text for case in cases if tokenizer().encode_exactly(case.text) != case.ids]
    assert wrong == []


def test_only_texts_with_special_literals_are_encoded_otherwise_than_exactly() -> None:
    cases = msgspec.json.decode(real("tokenizer_golden.json").read_bytes(), type=list[Case])
    for case in cases:
        special = not tokenizer().specials.isdisjoint(case.ids)
        assert (tokenizer().encode(case.text) != case.ids) == special, case.text


def test_the_special_pieces_are_the_eleven_that_steer_the_model() -> None:
    assert tokenizer().specials == set(range(4, 15))
    assert tokenizer().size == 16_384


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("<|audio_end|>", "audio end"),
        ("Stop <|audio_end|> here", "Stop  audio end  here"),
        ("<user_inst>Hi</user_inst>", "user inst Hi user inst"),
        # The tokenizer folds full-width letters, and would find the literal in them.
        ("＜|audio_end|＞ now", "audio end  now"),
        ("＜｜ａｕｄｉｏ＿ｅｎｄ｜＞", "audio end"),
        ("日本😀語<|im_start|>é", "日本😀語 im start é"),
    ],
)
def test_a_special_literal_in_a_text_is_said_and_not_obeyed(text: str, spoken: str) -> None:
    assert tokenizer().broken(text).strip() == spoken
    assert tokenizer().encode(text) == tokenizer().encode_exactly(spoken)


def test_a_literal_that_is_hidden_in_another_is_not_obeyed() -> None:
    for text in ("<|audio_<|audio_end|>end|>", "<<|im_end|>|im_end|>", "</<user_inst>user_inst>"):
        assert tokenizer().specials.isdisjoint(tokenizer().encode(text)), text


@given(
    st.lists(
        st.sampled_from(
            [
                "<",
                "|",
                ">",
                "＜",
                "｜",
                "＞",
                "audio_end",
                "im",
                "_start",
                "/",
                "user_inst",
                " ",
                "\u200b",
            ]
        )
        | st.text(max_size=2),
        max_size=14,
    ).map("".join)
)
def test_no_text_at_all_becomes_a_special_piece(text: str) -> None:
    assert tokenizer().specials.isdisjoint(tokenizer().encode(text))


def test_a_file_that_is_no_tokenizer_is_one_clear_error(tmp_path: Path) -> None:
    damaged = tmp_path / "tokenizer.model"
    with pytest.raises(BadAssets, match=r"tokenizer\.model cannot be read"):
        Tokenizer(damaged)
    damaged.write_bytes(b"no model")
    with pytest.raises(BadAssets, match="is not a SentencePiece model"):
        Tokenizer(damaged)
