"""Long texts in pieces: the official way, and the router's."""

from __future__ import annotations

import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.moss_tts_nano.chunks import official_chunks, official_pause_s
from providers.moss_tts_nano.mending import mended
from providers.moss_tts_nano.sentences import MOST_TOKENS, PAUSES_S, SHORT_TOKENS, Chunk, split
from providers.moss_tts_nano.tokenizer import Tokenizer
from tests.providers.moss.real_data import real


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer(real("tokenizer.model"))


def words(text: str) -> int:
    """A stand-in for a tokenizer: a word is a token, a Han letter too."""
    return len(re.findall(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+", text))


def texts(chunks: list[Chunk]) -> list[str]:
    return [chunk.text for chunk in chunks]


# ---- official


@pytest.mark.parametrize(
    ("text", "most", "chunks"),
    [
        ("", 5, []),
        (" \n ", 5, []),
        # One chunk is the text as it was, without capital or mark.
        (" hello there ", 5, ["hello there"]),
        ("one two. three four. five", 2, ["One two.", "three four.", "five."]),
        ("one two. three four. five", 4, ["One two. three four.", "five."]),
        ("a b c.” d e f", 3, ["A b c.”", "d e f."]),
        # Every full stop cuts, in a number too.
        ("it is 3.14 and more of it", 3, ["It is 3.", "14 and more", "of it."]),
        ("你好。再见", 3, ["你好。", "再见。"]),
        ("一二三，四五六七", 4, ["一二三，", "四五六七", "。"]),
        ("one, two, three four", 2, ["One, two,", "three four."]),
        ("one\ntwo  three\r\nfour", 2, ["One two", "three four."]),
    ],
)
def test_the_official_split_is_that_of_the_models_runtime(
    text: str, most: int, chunks: list[str]
) -> None:
    assert official_chunks(text, words, most) == chunks


def test_the_official_pause_counts_words_by_spaces() -> None:
    assert official_pause_s("one two three four") == 0.40
    assert official_pause_s("one two three four five") == 0.24
    assert official_pause_s("这一段中文没有空格所以只算一个词") == 0.40


def test_the_official_budget_is_kept_with_the_real_tokenizer() -> None:
    count = tokenizer().count
    text = "The quick brown fox, which was not so quick that day, jumped. " * 12
    chunks = official_chunks(text, count)
    assert len(chunks) > 2
    assert all(count(chunk) <= 75 for chunk in chunks)


# ---- the router's


@pytest.mark.parametrize(
    "whole",
    [
        "Pi is 3.14 and e is 2.718.",
        "Version v2.3.1 is out.",
        "Dr. Smith met J. Doe at 10 a.m. on the 3rd.",
        "Am 3. Oktober ist frei.",
        "Yahoo! is a name.",
        "She lives in the U.S. and works, e.g. there.",
        "See app.min.js.",
        "Wait… what is it.",
    ],
)
def test_a_stop_within_a_sentence_is_no_end_of_it(whole: str) -> None:
    filler = "One two three four five six seven eight nine ten eleven twelve thirteen. " * 5
    pieces = texts(split(f"{filler}{whole} {filler}".strip(), lambda text: 5 * words(text)))
    assert sum(whole in piece for piece in pieces) == 1


def test_sentences_of_any_script_are_ends() -> None:
    for text in ("आप? हाँ। ठीक।", "هل أنت؟ نعم. حسنا.", "好。真的！吗？", "Да. Нет! Ой?"):
        chunks = split(text, lambda piece: 40 * len(re.findall("[।.!?？！。؟]", piece)))
        assert len(chunks) == 3, text


def test_a_chunk_keeps_to_the_budget_whatever_the_text() -> None:
    count = tokenizer().count
    for text in (
        "word " * 900,
        "x" * 3_000,
        "字" * 900,
        "a, b; c: d — e " * 90,
        "字、字，字；" * 200,
        "Short one. " * 90,
        "ا" * 900,
        "e\u0301" * 600,
    ):
        chunks = split(mended(text), count)
        assert max(count(chunk.text) for chunk in chunks) <= MOST_TOKENS, text[:9]


def test_a_short_sentence_goes_with_a_neighbour() -> None:
    count = tokenizer().count
    long = (
        "This is a sentence of about twenty tokens, so that a few of them fill up a whole chunk. "
    )
    for text in (f"Hi. {long * 9}", f"{long * 9}Bye.", f"{long * 3}Yes! {long * 6}No."):
        chunks = split(mended(text), count)
        assert min(count(chunk.text) for chunk in chunks) >= SHORT_TOKENS


def test_many_short_lines_are_not_many_short_chunks() -> None:
    chunks = split(mended("\n".join(["milk", "eggs", "tea", "bread"] * 10)), tokenizer().count)
    assert len(chunks) <= 5
    assert all(tokenizer().count(chunk.text) >= SHORT_TOKENS for chunk in chunks)


def test_pauses_follow_what_was_cut() -> None:
    sentence = "One two three four five six seven eight nine ten eleven twelve thirteen"
    paragraph = f"{sentence}. {sentence}."
    clause = ", ".join([sentence] * 8)
    chunks = split(f"{paragraph}\n{paragraph}\n{clause}.", lambda text: 4 * words(text))
    pauses = [chunk.pause_s for chunk in chunks]
    assert pauses[:4] == [PAUSES_S[2], PAUSES_S[3], PAUSES_S[2], PAUSES_S[3]]
    assert set(pauses[4:-1]) == {PAUSES_S[1]}
    assert pauses[-1] == 0.0


def test_a_grapheme_is_not_parted() -> None:
    for chunk in split("e\u0301" * 400, tokenizer().count):
        assert not chunk.text.startswith("\u0301")


def test_a_cut_in_a_word_adds_no_pause() -> None:
    chunks = split("x" * 2_000, tokenizer().count)
    assert len(chunks) > 1
    assert {chunk.pause_s for chunk in chunks} == {0.0}


@given(
    st.lists(
        st.sampled_from(
            ["word", "字", "好。", ". ", ", ", "3.14", "Dr. ", "\n", "!” ", "— ", "كلمة", "… "]
        ),
        max_size=200,
    ).map("".join)
)
def test_nothing_is_left_out_and_nothing_is_said_twice(text: str) -> None:
    safe = mended(text)
    chunks = split(safe, lambda piece: 3 * words(piece))
    assert "".join("".join(texts(chunks)).split()) == "".join(safe.split())
    assert all(chunk.text for chunk in chunks)


def test_a_chunk_tells_nobody_its_text() -> None:
    assert "secret" not in repr(split("A secret.", words))
