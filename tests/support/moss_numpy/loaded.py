"""Weights in float64, made once."""

from __future__ import annotations

import numpy as np

from tests.support.moss_numpy.arithmetic import Doubles
from tests.support.tiny_moss.spec import Spec
from tests.support.tiny_moss.weights import Weights


class Loaded:
    def __init__(self, weights: Weights) -> None:
        self.spec: Spec = weights.spec
        self._weights = weights
        self._arrays: dict[str, Doubles] = {}

    def __getitem__(self, name: str) -> Doubles:
        if name not in self._arrays:
            self._arrays[name] = self._weights[name].astype(np.float64)
        return self._arrays[name]

    def text(self, token: int) -> Doubles:
        row: Doubles = self["transformer.wte.weight"][token]
        return row

    def code(self, channel: int, code: int) -> Doubles:
        """Zeros for padding."""
        if code == self.spec.codebook_size:
            return np.zeros(self.spec.hidden)
        row: Doubles = self[f"audio_embeddings.{channel}.weight"][code]
        return row
