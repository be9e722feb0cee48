"""No text step takes a time that grows with the square of a run of marks.

The bound is the suite's clock of seconds: the linear steps need milliseconds for these texts, those
that search a run again from each of its marks half a minute.
"""

from __future__ import annotations

import pytest

from providers.moss_tts_nano.cleanup import cleaned
from providers.moss_tts_nano.mending import mended
from providers.moss_tts_nano.sentences import split
from providers.moss_tts_nano.verbatim import verbatim

_LENGTH = 20_000
_MARKS = (
    *(".", "!", "?", "…", "。", "！", "？", "।", "۔", "؟", ",", "，", "、", ";", ":", "-", "—", "=", "<"),
    *(">", "→", "*", "_", "`", "#", "@", "%", "+", "/", "|", "~", "'", '"', "”", "(", ")", "[", "]"),
    *("{", "}", "【", "】", "「", "」", "《", "》", " ", "\t", "\n", "\u00a0", "\u3000", "\u200b"),
)
_MIXED = (
    *("?!", "!.", "! ", ". ", " -", "<-", "a-", "a.", "1.", "a@", "é%", "1'", "5s-", "1.1-", "1.1é-"),
    *("[a](http://b", "![a](http://b", "!《", "《a》", "「a", "[a", "中-", "http://", "www.", "a_", "字.", "*a"),
)
_AROUND = (("", ""), ("é", " x."), ("2 Words. ", "\u0001中"))


def _texts(run: str) -> list[str]:
    many = (run * _LENGTH)[:_LENGTH]
    return [before + many + after for before, after in _AROUND]


def _count(text: str) -> int:
    """Some tokens of a text, at no cost."""
    return len(text) // 3


@pytest.mark.parametrize("run", (*_MARKS, *_MIXED), ids=ascii)
@pytest.mark.timeout(10)
def test_a_long_run_is_cleaned_and_split_in_a_moment(run: str) -> None:
    for text in _texts(run):
        safe = mended(text)
        assert len(safe) <= len(text) * 2
        assert sum(len(chunk.text) for chunk in split(safe, _count)) <= len(safe)
