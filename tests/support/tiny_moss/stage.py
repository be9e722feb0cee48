"""A transformer of the codec: causal attention within a window."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tests.support.tiny_moss.block import EPSILON, ROTARY_BASE, as_int64
from tests.support.tiny_moss.graph import FLOAT, INT, LOWEST, Graph
from tests.support.tiny_moss.spec import Stage

_END = int(np.iinfo(np.int64).max)


class Kept(NamedTuple):
    """What one attention knows of its past, the newest step last; places without one are at -1."""

    offset: str
    keys: str
    values: str
    positions: str


class Transformer:
    """Layers between two projections. Steps are [rows, steps, width]."""

    def __init__(self, graph: Graph, name: str, stage: Stage) -> None:
        self.graph = graph
        self.codec = graph.spec.codec
        self.name = name
        self.stage = stage

    def whole(self, steps: str) -> str:
        """From the first step to the last."""
        g = self.graph
        hidden = self._projected("input_proj", steps)
        count = g.op("Gather", g.op("Shape", hidden), g.const(1), axis=0)
        positions = g.op("Range", g.const(0), count, g.const(1))
        visible = self._visible(positions, positions)
        for layer in range(self.stage.layers):
            query, key, value = self._heads(layer, hidden, positions)
            hidden = self._mixed(layer, hidden, self._attended(query, key, value, visible))
        return self._projected("output_proj", hidden)

    def continued(self, steps: str, past: list[Kept]) -> tuple[str, list[Kept]]:
        """From where the past of each layer ends, one row only."""
        g, present = self.graph, []
        hidden = self._projected("input_proj", steps)
        count = g.op("Gather", g.op("Shape", hidden), g.const(1), axis=0)
        for layer, known in enumerate(past):
            fresh = g.op("Range", g.const(0), count, g.const(1))
            fresh = g.op("Add", as_int64(g, known.offset), fresh)
            query, key, value = self._heads(layer, hidden, fresh)
            keys = g.op("Concat", known.keys, key, axis=2)
            values = g.op("Concat", known.values, value, axis=2)
            row = g.op("Unsqueeze", g.op("Cast", fresh, to=INT), g.const([0]))
            positions = g.op("Concat", known.positions, row, axis=1)
            places = g.op("Squeeze", as_int64(g, positions), g.const([0]))
            visible = self._visible(fresh, places)
            hidden = self._mixed(layer, hidden, self._attended(query, keys, values, visible))
            moved = g.op("Add", known.offset, g.op("Cast", count, to=INT))
            newest = (self._newest(keys, 2), self._newest(values, 2), self._newest(positions, 1))
            present.append(Kept(moved, *newest))
        return self._projected("output_proj", hidden), present

    def _newest(self, x: str, axis: int) -> str:
        g = self.graph
        return g.op("Slice", x, g.const([-self.stage.context]), g.const([_END]), g.const([axis]))

    def _visible(self, queries: str, places: str) -> str:
        """[1, 1, queries, places]; both int64, a place without a step is at -1."""
        g = self.graph
        places = g.op("Unsqueeze", places, g.const([0]))
        distance = g.op("Sub", g.op("Unsqueeze", queries, g.const([1])), places)
        seen = g.op(
            "And",
            g.op("GreaterOrEqual", distance, g.const(0)),
            g.op("Less", distance, g.const(self.stage.context)),
        )
        seen = g.op("And", seen, g.op("GreaterOrEqual", places, g.const(0)))
        return g.op("Unsqueeze", seen, g.const([0, 1]))

    def _heads(self, layer: int, hidden: str, positions: str) -> list[str]:
        """Queries, keys and values [rows, heads, steps, head width], the first two rotated."""
        g, codec = self.graph, self.codec
        normed = self._norm(f"layers.{layer}.norm1", hidden)
        name = f"layers.{layer}.self_attn.in_proj"
        if g.style.spelt_out:
            shape, width = g.const([0, 0, codec.heads, codec.head_width]), codec.width
            slices = [slice(at * width, (at + 1) * width) for at in range(3)]
            parts = [g.op("Reshape", self._projected(name, normed, at), shape) for at in slices]
            parts = [g.op("Transpose", part, perm=[0, 2, 1, 3]) for part in parts]
        else:
            shape = g.const([0, 0, 3, codec.heads, codec.head_width])
            joined = g.op("Reshape", self._projected(name, normed), shape)
            joined = g.op("Transpose", joined, perm=[2, 0, 3, 1, 4])
            parts = [g.op("Gather", joined, g.const(at), axis=0) for at in range(3)]
        cos, sin = self._rotation(positions)
        return [*(self._rotated(part, cos, sin) for part in parts[:2]), parts[2]]

    def _attended(self, query: str, keys: str, values: str, visible: str) -> str:
        g, codec = self.graph, self.codec
        scale = g.const(codec.head_width**-0.5, np.float32)
        if g.style.spelt_out:
            query = g.op("Mul", query, scale)
        scores = g.op("MatMul", query, g.op("Transpose", keys, perm=[0, 1, 3, 2]))
        if not g.style.spelt_out:
            scores = g.op("Mul", scores, scale)
        scores = g.op("Where", visible, scores, g.const(LOWEST, np.float32))
        mixed = g.op("MatMul", g.op("Softmax", scores, axis=-1), values)
        mixed = g.op("Transpose", mixed, perm=[0, 2, 1, 3])
        return g.op("Reshape", mixed, g.const([0, 0, codec.width]))

    def _mixed(self, layer: int, hidden: str, attended: str) -> str:
        """What follows the attention: its projection, then the feed-forward, each scaled."""
        g, at = self.graph, f"layers.{layer}"
        out = self._projected(f"{at}.self_attn.out_proj", attended)
        hidden = g.op("Add", hidden, self._scaled(f"{at}.layer_scale_1", out))
        normed = self._norm(f"{at}.norm2", hidden)
        wide = self._projected(f"{at}.linear1", normed)
        out = self._projected(f"{at}.linear2", self._gelu(wide))
        return g.op("Add", hidden, self._scaled(f"{at}.layer_scale_2", out))

    def _rotation(self, positions: str) -> tuple[str, str]:
        """[steps, half the head width]"""
        g, width = self.graph, self.codec.head_width
        powers = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
        frequencies = g.const(1.0 / ROTARY_BASE**powers, np.float32)
        steps = g.op("Unsqueeze", g.op("Cast", positions, to=FLOAT), g.const([-1]))
        angles = g.op("Mul", steps, frequencies)
        return g.op("Cos", angles), g.op("Sin", angles)

    def _rotated(self, x: str, cos: str, sin: str) -> str:
        g, codec = self.graph, self.codec
        shape = g.const([0, 0, 0, codec.head_width // 2, 2])
        pairs = g.op("Reshape", x, shape)
        even, odd = (g.op("Gather", pairs, g.const(at), axis=4) for at in range(2))
        turned = (
            g.op("Sub", g.op("Mul", even, cos), g.op("Mul", odd, sin)),
            g.op("Add", g.op("Mul", even, sin), g.op("Mul", odd, cos)),
        )
        pairs = g.op("Concat", *(g.op("Unsqueeze", one, g.const([-1])) for one in turned), axis=-1)
        return g.op("Reshape", pairs, g.const([0, 0, 0, codec.head_width]))

    def _gelu(self, x: str) -> str:
        g = self.graph
        inner = g.op("Erf", g.op("Div", x, g.const(np.sqrt(2.0), np.float32)))
        gate = g.op("Add", inner, g.const(1.0, np.float32))
        return g.op("Mul", g.op("Mul", x, gate), g.const(0.5, np.float32))

    def _norm(self, name: str, hidden: str) -> str:
        g, name = self.graph, f"{self.name}.{name}"
        g.inside(name)
        scale, shift = g.parameter(f"{name}.weight"), g.parameter(f"{name}.bias")
        if not g.style.spelt_out:
            return g.op("LayerNormalization", hidden, scale, shift, axis=-1, epsilon=EPSILON)
        centred = g.op("Sub", hidden, g.op("ReduceMean", hidden, axes=[-1]))
        squares = g.op("ReduceMean", g.op("Pow", centred, g.const(2.0, np.float32)), axes=[-1])
        spread = g.op("Sqrt", g.op("Add", squares, g.const(EPSILON, np.float32)))
        return g.op("Add", g.op("Mul", g.op("Div", centred, spread), scale), shift)

    def _scaled(self, name: str, x: str) -> str:
        return self.graph.op("Mul", self.graph.parameter(f"{self.name}.{name}.scale"), x)

    def _projected(self, name: str, x: str, columns: slice = slice(None)) -> str:
        g, name = self.graph, f"{self.name}.{name}"
        g.inside(name)
        return g.op("MatMul", x, g.matrix(f"{name}.weight", columns))
