"""A text is made sayable without losing a letter of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.espeak.text import cleaned, has_han, is_speakable, with_breaks

WORDS = st.lists(st.text("aß1人한か.,; \n", min_size=1), max_size=60).map("".join)


@given(WORDS.map(lambda text: text * 30))
def test_breaks_add_nothing_but_spaces_and_commas(text: str) -> None:
    broken = iter(with_breaks(text))
    added = ""
    for letter in text:
        while (there := next(broken)) != letter:
            added += there
    assert set(added + "".join(broken)) <= {" ", ","}


@given(st.text(max_size=400))
def test_an_ordinary_sentence_is_left_alone(text: str) -> None:
    calm = re.sub(r"[^\W_]{20,}", "word", text)[:100]
    assert with_breaks(calm) == calm


def test_a_long_word_gets_a_space_and_a_long_clause_a_comma() -> None:
    assert max(map(len, with_breaks("아" * 500).replace(",", "").split())) <= 48
    assert with_breaks("1" * 30) == "1" * 24 + " " + "1" * 6
    assert max(map(len, with_breaks("人" * 1000).split(","))) < 180
    assert with_breaks("word " * 100) == "word " * 100
    assert "," in with_breaks("1234 " * 100)


def test_a_number_and_a_sentence_end_keep_their_marks() -> None:
    text = "It costs 1,234.56 at 10:30, they say. " * 40
    assert with_breaks(text) == text


@given(st.text(st.characters()))
def test_a_cleaned_text_can_be_sent_and_holds_no_command(text: str) -> None:
    sent = cleaned(text + "\ud800\x01\0\x9f")
    assert sent.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", sent)


def test_what_can_be_spoken_has_a_letter_or_a_digit() -> None:
    assert all(map(is_speakable, ["a", "١", "人", "½", " é!"]))
    assert not any(map(is_speakable, ["", " \n", "…?!", "👍", "\u0301"]))


def test_han_is_told_from_kana_and_hangul() -> None:
    assert all(map(has_han, ["東", "人々", "𠮟る", "漢字를"]))
    assert not any(map(has_han, ["カタカナひらがなー", "한국어", "abc、。"]))


@pytest.mark.parametrize("letter", ["a", "क", "ก", "တ", "க", "한", "か", "1", "\u0301"], ids=ascii)
@pytest.mark.timeout(10)
def test_a_word_of_any_length_is_read_in_a_moment(letter: str) -> None:
    # A letter that was also taken for a vowel sign doubled the time: 24 of them took seconds.
    for length in (*range(18, 50), 20_000):
        text = letter * length + " x"
        assert with_breaks(text).replace(" ", "").replace(",", "") == letter * length + "x"


@pytest.mark.parametrize(
    "mark", [*".,;:!?。、…।", "\n", " ", "&", ". ", "x ", "\u0301 "], ids=ascii
)
@pytest.mark.timeout(10)
def test_a_long_run_of_marks_is_read_in_a_moment(mark: str) -> None:
    text = (mark * 20_000)[:20_000] + "x"
    assert with_breaks(text).endswith("x")
