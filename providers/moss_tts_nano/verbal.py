"""Writes numbers and dates out in words, by wetext where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import re
import threading
from collections.abc import Callable

from providers.moss_tts_nano.verbatim import verbatim

LANGUAGES = frozenset({"zh", "en"})
_HAN = re.compile(r"[\u3400-\u9fff]")
_ENGLISH_VOICES = frozenset({"Trump", "Ava", "Bella", "Adam", "Nathan"})
_HYPHEN = "___KEEP_HYPHEN_BEFORE_ZH_WETEXT___"
# A hyphen that stays one is hidden under the same word as in the official rules: their later rules
# see its letters.
_HYPHENS = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"(^\s*)-\s*(?=\d)", rf"\1{_HYPHEN}"),
        (r"([=:+*/,(，:：；;（【\[{])\s*-\s*(?=\d)", rf"\1{_HYPHEN}"),
        (r"([\u3400-\u9fff])\s*-\s*(?=\d)", rf"\1{_HYPHEN}"),
        (r"(\d)\s*-\s*(?=\d)", rf"\1{_HYPHEN}"),
        (r"([\u3400-\u9fff])\s*-\s*(?=[\u3400-\u9fff])", r"\1，"),
        (r"([^\s-])\s*-\s*(?=[^\s-])", r"\1 "),
        (r" {2,}", " "),
    )
)
_SENTENCE = re.compile(
    # Runs of marks are read once each. One that begins a sentence is its first letter, then marks.
    r"[^。！？](?:[^。！？.!?]++|[.!?]++(?!\s++[A-Z]))*(?:[.!?]++\s++|[。！？]++|\Z)|.",
    re.DOTALL,
)


def installed() -> bool:
    """Whether `pip install 'tts-router[text]'` was done."""
    return importlib.util.find_spec("wetext") is not None


def official_language(text: str, voice: str | None) -> str:
    """`zh` or `en`, as the official runtime chooses: by letters, then by the voice."""
    if _HAN.search(text):
        return "zh"
    return "en" if re.search("[A-Za-z]", text) or voice in _ENGLISH_VOICES else "zh"


class Verbalizer:
    """wetext's grammars; about a second to load, milliseconds a sentence. Thread-safe."""

    def __init__(self) -> None:
        wetext = importlib.import_module("wetext")  # an extra, and slow to import

        self._lock = threading.Lock()
        self._spell: dict[str, Callable[[str], str]] = {
            language: wetext.Normalizer(lang=language, operator="tn").normalize
            for language in sorted(LANGUAGES)
        }

    def officially(self, text: str, voice: str | None) -> str:
        """As the official runtime: every text is taken for Chinese or English."""
        language = official_language(text, voice)
        if language == "zh" and "-" in text:
            for pattern, instead in _HYPHENS:
                text = pattern.sub(instead, text)
            text = text.strip().replace(_HYPHEN, "-")
        return self._spelled(text, language) if text else text

    def spoken(self, text: str, language: str) -> str:
        """Numbers and dates of a Chinese or English text in words; any other text, addresses,
        versions and file names as they are. `language` is a BCP-47 tag."""
        primary = language.partition("-")[0].lower()
        if primary not in LANGUAGES or not re.search(r"\d", text):
            return text
        return "\n".join(self._line(line, primary) for line in text.split("\n"))

    def _line(self, line: str, language: str) -> str:
        # Sentence by sentence: a grammar takes milliseconds, and most sentences have no number.
        sentences = _SENTENCE.findall(line)
        return "".join(
            self._sentence(one, language) if re.search(r"\d", one) else one for one in sentences
        )

    def _sentence(self, sentence: str, language: str) -> str:
        parts: list[str] = []
        end = 0
        for start, stop in verbatim(sentence):
            parts += [self._spelled(sentence[end:start], language), sentence[start:stop]]
            end = stop
        return "".join((*parts, self._spelled(sentence[end:], language)))

    def _spelled(self, text: str, language: str) -> str:
        core = text.strip()
        if not core:
            return text
        try:
            with self._lock:
                spelled = self._spell[language](core)
        except Exception:  # a grammar that fails costs the words of a number only
            return text
        if not spelled.strip() or "\\" in spelled:
            return text
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        return f"{before}{spelled}{after}"
