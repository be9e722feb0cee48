"""Compact graphs of a small model, beside what they were built from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from providers.moss_tts_nano.compact import store
from providers.moss_tts_nano.compact.build import Precision
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.parts import Floats, Ints, LanguageModel, Prefix, Seat
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


class Accompanied:
    """A language model in which somebody else steps along with whoever steps: a new one each time,
    so that places change."""

    def __init__(self, model: LanguageModel, prompt: Ints) -> None:
        self._model, self._prompt = model, prompt
        self.seats, self.capacity = model.seats - 1, model.capacity
        self._other, _ = model.join(prompt)

    def join(self, rows: Ints, prefix: Prefix | None = None) -> tuple[Seat, Floats]:
        return self._model.join(rows, prefix)

    def step(self, seats: Sequence[Seat], rows: Ints) -> Floats:
        hidden = self._model.step([*seats, self._other], np.concatenate([rows, rows[:1]]))
        self._model.leave(self._other)
        self._other, _ = self._model.join(self._prompt)
        return hidden[:-1]

    def keep(self, seat: Seat, length: int) -> Prefix | None:
        return self._model.keep(seat, length)

    def leave(self, seat: Seat) -> None:
        self._model.leave(seat)
