"""Compact graphs of a small model, beside what they were built from."""

from __future__ import annotations

from pathlib import Path

from providers.moss_tts_nano.compact import store
from providers.moss_tts_nano.compact.build import Precision
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.parts import Floats, Ints, LanguageModel
from providers.moss_tts_nano.prompt import Prompt
from tests.providers.moss.tiny import TOKENS, Tiny


def compacted(tiny: Tiny, cache: Path, precision: Precision = "exact", *, wide: int = 2) -> Compact:
    return Compact(tiny.layout, store.make(tiny.layout, cache, precision), threads=1, wide=wide)


def prompt_of(tiny: Tiny, voice: int, tokens: int) -> Ints:
    return Prompt(tiny.layout.manifest).whole(tiny.voice(voice), TOKENS[:tokens])


def spoken_of(tiny: Tiny, frames: int, seed: int) -> Ints:
    return Prompt(tiny.layout.manifest).spoken(tiny.codes(frames, seed))


def alone(model: LanguageModel, prompt: Ints, frames: Ints) -> list[Floats]:
    """The hidden states of one sequence that has the model to itself."""
    seat, hidden = model.join(prompt)
    states = [hidden, *(model.step([seat], row[None])[0] for row in frames)]
    model.leave(seat)
    return states
