"""Which language a text is in: the tag that was given, else a guess from its script."""

from __future__ import annotations

import re
from collections.abc import Callable

from router.contract.errors import InvalidRequest

LatinGuess = Callable[[str], str | None]
"""Tells the language of a text in Latin script, or `None` when it cannot (the `lang` extra)."""

_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_LOOK_AT = 2_000  # code points: a guess gets no better with more
_LATIN_LOOK_AT = (80, 240)  # words are looked up in models: 0.25 ms and 0.5 ms, if unsure

# Unicode blocks by script (Unicode 15.1, Blocks.txt), as far as somebody may speak them.
_RANGES = {
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff々",
    "Kana": "\u3041-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d",
    "Hangul": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "Latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\uff21-\uff5a",
    "Cyrillic": "\u0400-\u052f\u1c80-\u1c8f",
    "Arabic": "\u0620-\u065f\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Hebrew": "\u05d0-\u05f4",
    "Devanagari": "\u0900-\u0963\u0970-\u097f",
    "Bengali": "\u0980-\u09e3\u09f0-\u09fe",
    "Gurmukhi": "\u0a00-\u0a65\u0a70-\u0a76",
    "Gujarati": "\u0a80-\u0ae3",
    "Tamil": "\u0b80-\u0be5",
    "Telugu": "\u0c00-\u0c63",
    "Kannada": "\u0c80-\u0ce3",
    "Malayalam": "\u0d00-\u0d63",
    "Sinhala": "\u0d80-\u0ddf",
    "Thai": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "Myanmar": "\u1000-\u103f",
    "Georgian": "\u10a0-\u10ff",
    "Armenian": "\u0531-\u0587",
    "Ethiopic": "\u1200-\u137f",
}
_SCRIPTS = {name: re.compile(f"[{ranges}]") for name, ranges in _RANGES.items()}

# Who writes in a script: the first is the guess when neither the letters nor the voice say more.
_WRITTEN_IN: dict[str, tuple[str, ...]] = {
    "Han": ("zh", "yue", "ja"),
    "Kana": ("ja",),
    "Hangul": ("ko",),
    "Cyrillic": ("ru", "uk", "bg", "sr", "mk", "be", "kk", "ky", "tt"),
    "Arabic": ("ar", "fa", "ur"),
    "Greek": ("el",),
    "Hebrew": ("he",),
    "Devanagari": ("hi", "mr", "ne"),
    "Bengali": ("bn", "as"),
    "Gurmukhi": ("pa",),
    "Gujarati": ("gu",),
    "Tamil": ("ta",),
    "Telugu": ("te",),
    "Kannada": ("kn",),
    "Malayalam": ("ml",),
    "Sinhala": ("si",),
    "Thai": ("th",),
    "Myanmar": ("my",),
    "Georgian": ("ka",),
    "Armenian": ("hy",),
    "Ethiopic": ("am",),
}
_NOT_LATIN = {language for languages in _WRITTEN_IN.values() for language in languages} - {"sr"}

# Letters that one language of a script has and its neighbours have not.
_TELLTALE = (("Arabic", "ur", "ٹڈڑںے"), ("Arabic", "fa", "پچژگ"), ("Cyrillic", "uk", "їєґЇЄҐ"))

_A_HAN_IS_WORTH = 3  # letters: «用 Python 写代码» is Chinese


def parsed(tag: str | None) -> str | None:
    """A caller's language tag in its usual spelling (`en-US`, `zh-Hant`); "" and `auto` are no tag.

    Raises:
        InvalidRequest: it is not of the form of BCP-47.
    """
    tag = (tag or "").strip()
    if not tag or tag.lower() == "auto":
        return None
    if len(tag) > 35 or not _TAG.fullmatch(tag):
        raise InvalidRequest(
            "language must be a BCP-47 tag such as en, en-US or zh-Hant", param="language"
        )
    primary, *rest = tag.split("-")
    return "-".join([primary.lower(), *(_spelt(subtag) for subtag in rest)])


def _spelt(subtag: str) -> str:
    if len(subtag) == 4 and subtag.isalpha():
        return subtag.title()
    return subtag.upper() if len(subtag) == 2 else subtag.lower()


def primary(tag: str) -> str:
    """The primary subtag: `en` of `en-US`."""
    return tag.split("-", 1)[0].lower()


def guessed(text: str, voice_language: str | None, latin: LatinGuess | None = None) -> str:
    """The language of a text, from its script; where a script serves several, the voice decides.

    `voice_language` is the voice's own, a primary subtag. Text without letters takes it as it is.
    """
    script = main_script(text)
    if script is None:
        return voice_language or "en"
    if script == "Latin":
        known = _of_latin(text, latin) if latin else None
        if known:
            return known
        return voice_language if voice_language and voice_language not in _NOT_LATIN else "en"
    if voice_language in _WRITTEN_IN[script]:
        return voice_language
    for of_script, language, letters in _TELLTALE:
        if of_script == script and any(letter in text for letter in letters):
            return language
    return _WRITTEN_IN[script][0]


def _of_latin(text: str, latin: LatinGuess) -> str | None:
    for length in _LATIN_LOOK_AT:
        known = latin(text[:length])
        if known or len(text) <= length:
            return known
    return None


def main_script(text: str) -> str | None:
    """The script that most of a text is written in; Japanese counts as Kana. `None`: no letters."""
    text = text[:_LOOK_AT]
    if text.isascii():
        return "Latin" if any(map(str.isalpha, text)) else None
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    if counts["Kana"] * 20 > counts["Han"]:  # Japanese has a kana every few characters
        counts["Kana"] += counts["Han"] * _A_HAN_IS_WORTH
    counts["Han"] *= _A_HAN_IS_WORTH
    script = max(counts, key=lambda name: counts[name])
    return script if counts[script] else None


def has_script(text: str, script: str) -> bool:
    """Whether any letter of the text is of that script."""
    return not text.isascii() and _SCRIPTS[script].search(text) is not None


def is_speakable(text: str) -> bool:
    """Whether a text has a letter or a digit in any script: the rest is silence."""
    return any(map(str.isalnum, text))
