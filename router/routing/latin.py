"""Tells the languages of the Latin script apart, where the `lang` extra is installed."""

from __future__ import annotations

import importlib.util
from typing import Any

from router.routing.language import LatinGuess

_LEAST = 16
"""Letters below which it guesses wildly: «Hello.» alone is taken for Sesotho."""
_SURE_BY = 0.1
"""How far the best guess must lead the second: a short text tells little."""


def load() -> LatinGuess | None:
    """The guess, `None` without the extra. Its models take a second: call it in a thread."""
    if importlib.util.find_spec("lingua") is None:
        return None
    detector = _loaded()

    def guess(text: str) -> str | None:
        if sum(map(str.isalpha, text)) < _LEAST:
            return None
        found = detector.detect_language_of(text)
        return None if found is None else str(found.iso_code_639_1.name).lower()

    return guess


def _loaded() -> Any:
    import lingua  # noqa: PLC0415  # 96 MB that few need

    builder = lingua.LanguageDetectorBuilder.from_all_languages_with_latin_script()
    builder = builder.with_low_accuracy_mode().with_minimum_relative_distance(_SURE_BY)
    detector = builder.build()
    detector.detect_language_of("a first text loads the models")
    return detector
