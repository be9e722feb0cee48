"""The `lang` extra: languages of the Latin script, told apart by their words."""

from __future__ import annotations

import pytest

from router.routing.language import LatinGuess, guessed
from router.routing.latin import load


@pytest.fixture(scope="module")
def guess() -> LatinGuess:
    found = load()
    if found is None:
        pytest.skip("the lang extra is not installed")
    return found


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The quick brown fox jumps over the lazy dog while the sun is shining."),
        ("de", "Der schnelle braune Fuchs springt über den faulen Hund, während es regnet."),
        ("fr", "Le rapide renard brun saute par-dessus le chien paresseux pendant qu'il pleut."),
        ("es", "El rápido zorro marrón salta sobre el perro perezoso mientras llueve mucho."),
        ("pl", "Szybki brązowy lis przeskakuje nad leniwym psem, podczas gdy pada deszcz."),
        ("tr", "Hızlı kahverengi tilki tembel köpeğin üzerinden atlarken yağmur yağıyor."),
    ],
)
def test_a_sentence_tells_its_language_whatever_the_voice(
    guess: LatinGuess, language: str, text: str
) -> None:
    assert guessed(text, "zh", guess) == language


def test_a_word_that_could_be_anything_takes_the_voices_language(guess: LatinGuess) -> None:
    assert guess("OK") is None
    assert guess("Hello.") is None
    assert guessed("OK", "de", guess) == "de"
