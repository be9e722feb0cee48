"""From text to tokens: the switch between the two ways, and numbers in words."""

from __future__ import annotations

import importlib.util
from functools import cache

import pytest

from providers.moss_tts_nano.preparation import Cleanup, Preparation
from providers.moss_tts_nano.tokenizer import Tokenizer
from providers.moss_tts_nano.verbal import Verbalizer, installed, official_language
from tests.providers.moss.real_data import real

needs_wetext = pytest.mark.skipif(
    importlib.util.find_spec("wetext") is None, reason="wetext is not installed"
)


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer(real("tokenizer.model"))


@cache
def verbalizer() -> Verbalizer:
    return Verbalizer()


def prepared(text: str, language: str = "en", cleanup: Cleanup = "router") -> list[str]:
    return [chunk.text for chunk in Preparation(tokenizer(), cleanup).chunks(text, language)]


def test_the_tokens_of_a_chunk_are_those_of_its_text() -> None:
    for cleanup in ("router", "official"):
        for chunk in Preparation(tokenizer(), cleanup).chunks("Hello, wörld. 你好", "en"):
            assert list(chunk.tokens) == tokenizer().encode_exactly(chunk.text)
            assert chunk.pause_s == 0.0


def test_the_two_ways_differ_where_users_met_trouble() -> None:
    text = "He said—“yes” —— it is 3.14"
    assert prepared(text) == ["He said—“yes” —— it is 3.14."]
    assert prepared(text, cleanup="official") == ["He said—“yes”。it is 3.14。"]


def test_literals_steer_the_model_only_in_the_official_way() -> None:
    text = "Say <|video_pad|> now"
    ours = Preparation(tokenizer()).chunks("Say <|im_end|> now", "en")
    assert ours[0].text == "Say im end now."
    assert tokenizer().specials.isdisjoint(ours[0].tokens)
    # There the cleanup takes the underscores of most of them; what has none gets through.
    assert prepared(text, cleanup="official") == ["Say <|video pad|> now。"]
    official = Preparation(tokenizer(), "official").chunks("a </user_inst> b", "en")
    assert tokenizer().specials.isdisjoint(official[0].tokens)


@pytest.mark.parametrize("cleanup", ["router", "official"])
@pytest.mark.parametrize("text", ["", " ", "\u200b"])
def test_nothing_gives_nothing(text: str, cleanup: Cleanup) -> None:
    assert prepared(text, cleanup=cleanup) == []


def test_half_a_surrogate_pair_is_dropped() -> None:
    for cleanup in ("router", "official"):
        assert prepared("a \ud83d b", cleanup=cleanup)[0][:3] == "a b"


def test_a_long_text_has_pauses_between_its_chunks_and_none_after_them() -> None:
    for cleanup in ("router", "official"):
        text = "This is one of many sentences that make a text long. " * 20
        chunks = Preparation(tokenizer(), cleanup).chunks(text, "en")
        assert len(chunks) > 2
        assert all(chunk.pause_s == 0.24 for chunk in chunks[:-1])
        assert chunks[-1].pause_s == 0.0


def test_no_text_and_no_token_is_told() -> None:
    chunks = Preparation(tokenizer()).chunks("A secret plan", "en")
    assert "secret" not in repr(chunks)
    assert str(chunks[0].tokens[0]) not in repr(chunks)


# ---- numbers and dates


@needs_wetext
@pytest.mark.parametrize(
    ("text", "language", "spoken"),
    [
        ("It is 3.14.", "en", "It is three point one four."),
        ("On Nov 21, 2026 at 10:30", "en-GB", "twenty first of november, twenty twenty six"),
        ("1,000,000 people", "en", "one million people."),
        ("今天是2026年11月21日", "zh", "今天是二零二六年十一月二十一日。"),
        ("气温-3.5度，占50%", "zh-CN", "气温负三点五度，占百分之五十。"),
    ],
)
def test_numbers_and_dates_are_written_out(text: str, language: str, spoken: str) -> None:
    chunks = Preparation(tokenizer(), verbalizer=verbalizer()).chunks(text, language)
    assert spoken in chunks[0].text


@needs_wetext
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Release v2.3.1 of app2.min.js.", "en"),
        ("版本 v2.3.1 来了。", "zh"),
        ("See https://a.example/b?c=1 or a1@b2.example.", "en"),
        ("The 1990s were long.", "en"),
        ("He is 5'11\" tall.", "en"),
        ("Es sind 3,50 Euro.", "de"),
        ("Hay 3 gatos.", "es"),
        ("No number — “here” either…", "en"),
    ],
)
def test_what_wetext_would_spoil_stays(text: str, language: str) -> None:
    assert verbalizer().spoken(text, language) == text


@needs_wetext
def test_the_official_way_takes_every_text_for_chinese_or_english() -> None:
    preparation = Preparation(tokenizer(), "official", verbalizer())
    assert "two" in preparation.chunks("J'ai 2 chats", "fr")[0].text
    assert preparation.chunks("版本-说明，10-3，为-2", "zh")[0].text.startswith("版本，说明，")


def test_the_official_language_goes_by_letters_then_by_the_voice() -> None:
    assert official_language("你好 hello", "Ava") == "zh"
    assert official_language("hello", None) == "en"
    assert official_language("Привет", "Ava") == "en"
    assert official_language("Привет", "Junhao") == "zh"
    assert official_language("Привет", None) == "zh"


def test_it_is_known_whether_numbers_can_be_written_out() -> None:
    assert installed() == (importlib.util.find_spec("wetext") is not None)
