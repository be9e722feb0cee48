"""Nothing of a text is lost between its pieces, and every piece can be spoken."""

from __future__ import annotations

import random

import pytest

from router.jobs.cutting import PIECE_CHARS, ends_of
from router.routing.language import is_speakable

ALPHABET = "abc ABC 123 äöü 日本語。 Это. \n\n … !? — 🎈 ,;:"


def pieces(text: str) -> list[str]:
    ends = ends_of(text)
    return [text[begin:end] for begin, end in zip((0, *ends), ends, strict=False)]


@pytest.mark.parametrize("seed", range(20))
def test_the_pieces_together_are_the_text(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choices(ALPHABET, k=chance.randrange(1, 8_000)))

    cut = pieces(text)

    assert "".join(cut) == text
    if is_speakable(text):
        assert all(is_speakable(piece) for piece in cut)


def test_a_million_characters_make_less_than_a_thousand_pieces() -> None:
    text = (
        "A sentence of some length, as books have many of them, one after the other. " * 14_000
    )[:1_000_000]

    cut = pieces(text)

    assert 600 < len(cut) < 1_000
    assert max(map(len, cut)) <= PIECE_CHARS
    assert "".join(cut) == text


def test_a_stretch_of_silence_belongs_to_the_piece_before_it() -> None:
    text = "One." + " …" * 2_000 + " Two."

    cut = pieces(text)

    assert all(is_speakable(piece) for piece in cut)
    assert "".join(cut) == text


def test_a_text_with_nothing_to_say_is_one_piece() -> None:
    assert ends_of("… " * 3_000) == (6_000,)


def test_no_text_has_no_pieces() -> None:
    assert ends_of("") == ()
