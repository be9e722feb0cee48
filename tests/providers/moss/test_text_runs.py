"""No text step takes a time that grows with the square of a run of marks.

The bound is a limit of seconds: the steps need milliseconds for these texts, one that searched a
run again from each of its marks needed ten seconds or more.
"""

from __future__ import annotations

import importlib.util
from functools import cache

import pytest

from providers.moss_tts_nano.cleanup import cleaned
from providers.moss_tts_nano.mending import mended
from providers.moss_tts_nano.sentences import split
from providers.moss_tts_nano.verbal import Verbalizer
from providers.moss_tts_nano.verbatim import verbatim

_LENGTH = 20_000
_MARKS = ".!?…。！？।۔؟,，、;:-—=<>→*_`#@%+/|~'\"”()[]{}【】「」《》 \t\n\u00a0\u3000\u200b"
_MIXED = (  # noqa: SIM905  # a list would be a page
    "?! !. ._ <- a- a. 1. a@ é% 1' 5s- 1.1- 1.1é- !《 《a》 「a [a 中- a_ 字. *a "
    "http:// www. [a](http://b ![a](http://b"
).split()
_SPACED = ("! ", ". ", " -", "a\t", "\n. ")
_AROUND = (("é", "\u0001 x."), ("", ""))


def _texts(run: str) -> list[str]:
    many = (run * _LENGTH)[:_LENGTH]
    return [before + many + after for before, after in _AROUND]


def _count(text: str) -> int:
    """Some tokens of a text, at no cost."""
    return len(text) // 3


@cache
def verbalizer() -> Verbalizer:
    return Verbalizer()


@pytest.mark.parametrize("run", [*_MARKS, *_MIXED, *_SPACED], ids=ascii)
@pytest.mark.timeout(10)
def test_a_long_run_is_cleaned_and_split_in_a_moment(run: str) -> None:
    for text in _texts(run):
        said = "".join(chunk.text for chunk in split(text, _count))
        assert "".join(said.split()) == "".join(text.split())
        done = cleaned(text)
        assert done == done.strip()
        assert mended(text).count("x") == text.count("x")


@pytest.mark.parametrize("run", [*_MARKS, *_MIXED, *_SPACED], ids=ascii)
@pytest.mark.timeout(10)
def test_what_stands_as_it_is_is_found_in_one_pass(run: str) -> None:
    for text in _texts(run):
        places = [place for stretch in verbatim(text) for place in stretch]
        assert places == sorted(places)


@pytest.mark.skipif(importlib.util.find_spec("wetext") is None, reason="wetext is not installed")
@pytest.mark.parametrize("run", [".", "!", "?!", "。", "! ", ".\t", "a.", " "], ids=ascii)
@pytest.mark.timeout(20)
def test_a_long_run_beside_a_number_is_passed_over_in_a_moment(run: str) -> None:
    marks = (run * _LENGTH)[:_LENGTH]
    assert verbalizer().spoken(f"I have 2. Words{marks}x", "en") == f"I have two. Words{marks}x"


@pytest.mark.parametrize(
    ("sentence", "stretches"),
    [
        ("Take v2.3.1 of app2.min.js.", ["v2.3.1", "app2.min.js"]),
        ("装vue-router2.js和a-b", ["router2.js"]),
        ("-x2.y z-1.5", ["-x2.y", "z-1.5"]),
        ("1.1-1.1é-2.0x", ["1.1-1.1", "2.0x"]),
        ("1.1-1.1 5", []),
        ("a.b-c2.d", ["c2.d"]),
        ("@me-d2.e 1990s 5'11\" 3\u2032", ["@me", "d2.e", "1990s", "5'11\"", "3\u2032"]),
    ],
)
def test_a_name_is_found_wherever_in_a_run_it_begins(sentence: str, stretches: list[str]) -> None:
    assert [sentence[start:end] for start, end in verbatim(sentence)] == stretches
