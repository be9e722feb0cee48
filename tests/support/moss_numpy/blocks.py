"""The pre-norm block of the language model and of the local transformer."""

from __future__ import annotations

import numpy as np

from tests.support.moss_numpy.arithmetic import Doubles, attended, gelu_tanh, norm, rotated
from tests.support.moss_numpy.loaded import Loaded

Cache = tuple[Doubles, Doubles]
"""Keys, already rotated, with values; both [rows, heads, head width]."""


class Blocks:
    """All blocks of one transformer, and its last norm."""

    def __init__(self, loaded: Loaded, prefix: str, layers: int) -> None:
        self.loaded = loaded
        self.prefix = prefix
        self.layers = layers
        spec = loaded.spec
        self._heads = (spec.heads, spec.head_width)

    def nothing(self) -> list[Cache]:
        empty = np.zeros((0, *self._heads))
        return [(empty, empty)] * self.layers

    def forward(self, hidden: Doubles, past: list[Cache]) -> tuple[Doubles, list[Cache]]:
        """Rows that stand behind the past, each of which sees all before itself. `hidden` [rows,
        hidden]; gives the same shape, normed, and the past with these rows."""
        before = len(past[0][0])
        positions = np.arange(before, before + len(hidden))
        visible = np.arange(before + len(hidden)) <= positions[:, None]
        present = []
        for at, (old_keys, old_values) in enumerate(past):
            name = f"h.{at}"
            normed = self._norm(f"{name}.ln_1", hidden)
            joined = self._linear(f"{name}.attn.c_attn", normed)
            query, key, value = np.split(joined.reshape(len(hidden), -1, self._heads[1]), 3, axis=1)
            keys = np.concatenate((old_keys, rotated(key, positions)))
            values = np.concatenate((old_values, value))
            present.append((keys, values))
            mixed = attended(rotated(query, positions), keys, values, visible)
            hidden = hidden + self._linear(f"{name}.attn.c_proj", mixed)
            normed = self._norm(f"{name}.ln_2", hidden)
            wide = gelu_tanh(self._linear(f"{name}.mlp.fc_in", normed))
            hidden = hidden + self._linear(f"{name}.mlp.fc_out", wide)
        return self._norm("ln_f", hidden), present

    def _norm(self, name: str, x: Doubles) -> Doubles:
        name = f"{self.prefix}.{name}"
        return norm(x, self.loaded[f"{name}.weight"], self.loaded[f"{name}.bias"])

    def _linear(self, name: str, x: Doubles) -> Doubles:
        name = f"{self.prefix}.{name}"
        return x @ self.loaded[f"{name}.weight"] + self.loaded[f"{name}.bias"]
