"""The voices of LEAPERone's page, each under its own name.

What language `demo-N` speaks follows from row N of `assets/demo.jsonl` in the model's repository,
which has as many rows as the page has presets.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.contract.speech import Voice

_ALIASES: Mapping[str, tuple[str, str]] = {
    "alloy": ("en", "welcome, neutral"),
    "echo": ("en", "news anchor"),
    "fable": ("en", "gentle reminder"),
    "onyx": ("en", "academic, lecture"),
    "nova": ("zh", "welcome, neutral"),
    "shimmer": ("zh", "soft, gentle"),
    "zh-welcome": ("zh", "neutral welcome"),
    "zh-gentle": ("zh", "soft late-night"),
    "zh-taiwan": ("zh", "Taiwanese accent"),
    "zh-beijing": ("zh", "Beijing dialect"),
    "zh-culture": ("zh", "formal, cultural"),
    "zh-yangmi": ("zh", "celebrity"),
    "en-welcome": ("en", "neutral welcome"),
    "en-lesson": ("en", "academic lecture"),
    "en-news": ("en", "news anchor"),
    "en-gentle": ("en", "gentle reminder"),
    "en-taylor": ("en", "celebrity"),
    "en-quiet": ("en", "calm, reflective"),
}

_NEWS = ("ja", "ko", "es", "fr", "de", "it", "ru")

_DEMOS = (
    ("zh",) * 6
    + ("en",) * 6
    + tuple(
        "ja ko es fr de it hu ru fa ar pl pt cs da sv el tr".split()  # noqa: SIM905 - a table
    )
)

VOICES: tuple[Voice, ...] = (
    *(Voice(id=id, languages=(lang,), style=style) for id, (lang, style) in _ALIASES.items()),
    *(Voice(id=f"{lang}-news", languages=(lang,), style="news") for lang in _NEWS),
    *(Voice(id=f"demo-{n}", languages=(lang,)) for n, lang in enumerate(_DEMOS, start=1)),
)
