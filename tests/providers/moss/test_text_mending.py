"""The router's own cleanup: nothing is lost, everything has an end."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.moss_tts_nano.mending import SENTENCE_MARKS, finished, mended


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "hello."),
        ("Hi", "Hi."),
        ("你好", "你好。"),
        ("こんにちは", "こんにちは。"),
        ("안녕하세요", "안녕하세요."),
        ("مرحبا", "مرحبا."),
        ("नमस्ते", "नमस्ते।"),
        ("OK吗", "OK 吗。"),
        ("他说OK", "他说 OK."),
        ("wait,", "wait."),
        ("first; ", "first."),
        ("he said “yes”", "he said “yes”."),
        ("he said “yes!”", "he said “yes!”"),
        ("he said—", "he said—."),
        ("really?", "really?"),
        ("هل؟", "هل؟"),
        ("and then…", "and then…"),
        ("42", "42."),
    ],
)
def test_a_text_gets_an_end_in_its_own_script(text: str, expected: str) -> None:
    assert mended(text) == expected


@pytest.mark.parametrize(
    "kept",
    [
        "“Curly” ‘quotes’ stay.",
        "don’t and can’t.",
        "An em dash — an en dash – and a-hyphen.",
        "他说“你好”——真的吗？",
        "「日本語」です。",
        "¿Qué? ¡Sí!",
        "Pi is 3.14, and 1,000.50 is more.",
        "Version v2.3.1 of app.min.js is out.",
        "They want .5 of it.",
        "Meet at 10:30, or 3/4 of the way.",
        "Kosten: 3,50 € — oder 20 %.",
        "می\u200cخواهم بروم.",
        "Ça va, l’été? Ökonomisch über Straßen.",
        "See https://a.example/b_c?d=e_f and me_too@mail.example.",
        "2*3 is 6, 5 > 4 < 6.",
    ],
)
def test_what_is_fine_stays_as_it_is(kept: str) -> None:
    assert mended(kept) == kept


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**bold** and `code` and *thin*", "bold and code and thin."),
        ("## Title\ntext", "Title.\ntext."),
        ("- milk\n- eggs", "milk.\neggs."),
        ("1. first\n2. second", "first.\nsecond."),
        ("3. Oktober ist frei", "3. Oktober ist frei."),
        ("[the page](https://a.example)", "the page https://a.example."),
        ("```python\nrun it\n```", "run it."),
        ("one\n---\ntwo", "one.\ntwo."),
        ("snake_case", "snake case."),
        ("home -> work", "home, work."),
        ("上 → 下", "上，下。"),
        ("[S1] go {now}", '"S1" go "now".'),
        ("no!!! what??? really?!?!", "no! what? really?!"),
        ("so...... yes", "so… yes."),
        ("one ---- two", "one — two."),
        ("这 是  中文 text混排 3 只", "这是中文 text 混排3只。"),
        ("Quoi ? Non !", "Quoi? Non!"),
        ("hi 😀 there 👍🏽", "hi there."),
        ("a\u200bb\u0000c\u00add", "abcd."),
        ("tab\tand\u00a0wide  space", "tab and wide space."),
        ("half a pair: \ud800 gone", "half a pair: gone."),
    ],
)
def test_what_is_not_meant_to_be_said_is_put_right(text: str, expected: str) -> None:
    assert mended(text) == expected


@pytest.mark.parametrize("text", ["", "…", "!!!", "😀", "---\n***", "\u200b", "。"])
def test_a_text_with_nothing_to_say_becomes_empty(text: str) -> None:
    assert mended(text) == ""


@given(st.text(st.characters(exclude_categories=["C"]), max_size=200))
def test_no_letter_and_no_digit_is_ever_lost(text: str) -> None:
    text = text.replace("_", "-")
    said = mended(f"x {text} x")
    # List marks are the only thing with digits that may go, and one line has none.
    wanted = [c for c in f"x{text}x" if _is_said(c)]
    assert [c for c in said if _is_said(c)] == wanted


def _is_said(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN" and not re.match(
        "[\u2600-\u27bf\U0001f000-\U0001faff]", character
    )


@given(st.text(max_size=100))
def test_every_paragraph_ends_and_mending_twice_changes_nothing(text: str) -> None:
    said = mended(text)
    for paragraph in said.split("\n") if said else []:
        assert finished(paragraph) == paragraph
        assert set(paragraph[-3:]) & set(SENTENCE_MARKS) or paragraph[-1] in "\"'”’»)]}）】》〉」』"


@pytest.mark.parametrize(
    "text",
    [
        "*" * 50_000,
        "[" * 50_000,
        "`" * 50_000,
        " " * 50_000,
        "-" * 50_000,
        "a*" * 25_000,
        "**a" * 20_000,
        "\u00a0" * 50_000,
        "_a" * 25_000,
    ],
)
@pytest.mark.timeout(20)
def test_a_text_that_was_made_to_be_slow_is_not(text: str) -> None:
    assert isinstance(mended(text), str)
