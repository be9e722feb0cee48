"""Small model directories for tests, by the contract, each with weights of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from providers.moss_tts_nano.layout import Layout, find
from providers.moss_tts_nano.parts import Ints
from providers.moss_tts_nano.reference import Reference
from tests.support.moss_numpy import Codec, LanguageModel, Local
from tests.support.tiny_moss import TINY, write
from tests.support.tiny_moss.weights import Weights

TOKENS = (20, 31, 42, 53, 64)


class Tiny:
    """A model directory, the shipped graphs over it, and its own weights in plain numpy."""

    def __init__(self, folder: Path, *, seed: int = 0, **changes: Any) -> None:
        spec = msgspec.structs.replace(TINY, **changes)
        self.layout: Layout = find(write(folder, spec, seed=seed))
        self.reference = Reference(self.layout, threads=1)
        weights = Weights(spec, seed)
        self.language_model = LanguageModel(weights)
        self.local = Local(weights)
        self.codec = Codec(weights)
        self.shape = self.layout.shape

    def voice(self, at: int = 0) -> Ints:
        codes = self.layout.manifest.builtin_voices[at].prompt_audio_codes
        return np.array(codes, dtype=np.int32)

    def codes(self, frames: int, seed: int = 0) -> Ints:
        """Random ones, int32 [frames, codebooks]."""
        size = (frames, self.shape.codebooks)
        chance = np.random.default_rng(seed)
        return chance.integers(0, self.shape.codebook_size, size, dtype=np.int32)

    def without(self, *graphs: str) -> Reference:
        """As if the directory had been shipped without these graphs."""
        left = {role: path for role, path in self.layout.graphs.items() if role not in graphs}
        return Reference(msgspec.structs.replace(self.layout, graphs=left), threads=1)
