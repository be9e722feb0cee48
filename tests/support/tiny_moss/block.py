"""The transformer block that the language model and the local transformer are made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tests.support.tiny_moss.graph import BOOL, FLOAT, INT64, LOWEST, Graph

EPSILON = 1e-5
ROTARY_BASE = 10000.0


class Rotation(NamedTuple):
    """Cosines and sines [rows, steps, 1, head width], each one twice in a row."""

    cos: str
    sin: str


class Cache(NamedTuple):
    """Keys and values [rows, steps, heads, head width], keys rotated."""

    keys: str
    values: str


class Blocks:
    """Blocks of one transformer, as nodes of one graph. Hidden states are [rows, steps, hidden]."""

    def __init__(self, graph: Graph, prefix: str) -> None:
        self.graph = graph
        self.spec = graph.spec
        self.prefix = prefix

    def rotation(self, positions: str) -> Rotation:
        """`positions` int64 [rows, steps]"""
        g, width = self.graph, self.spec.head_width
        powers = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
        frequencies = g.const(1.0 / ROTARY_BASE**powers, np.float32)
        steps = g.op("Unsqueeze", g.op("Cast", positions, to=FLOAT), g.const([-1]))
        angles = g.op("Mul", steps, frequencies)
        shape = g.const([0, 0, 1, width])
        return Rotation(*(self._twice(g.op(kind, angles), shape) for kind in ("Cos", "Sin")))

    def block(
        self, index: int, hidden: str, rotation: Rotation, visible: str, past: Cache | None = None
    ) -> tuple[str, Cache]:
        """`visible` bool, [rows or 1, 1, steps, all steps]; new steps stand behind the past."""
        g, at = self.graph, f"h.{index}"
        normed = self.norm(f"{at}.ln_1", hidden)
        mixed, cache = self._attention(f"{at}.attn", normed, rotation, visible, past)
        hidden = g.op("Add", mixed, hidden)
        normed = self.norm(f"{at}.ln_2", hidden)
        return g.op("Add", hidden, self._feed_forward(f"{at}.mlp", normed)), cache

    def norm(self, name: str, hidden: str) -> str:
        g, name = self.graph, f"{self.prefix}.{name}"
        g.inside(name)
        scale, shift = g.parameter(f"{name}.weight"), g.parameter(f"{name}.bias")
        return g.op("LayerNormalization", hidden, scale, shift, axis=-1, epsilon=EPSILON)

    def _attention(
        self, name: str, hidden: str, rotation: Rotation, visible: str, past: Cache | None
    ) -> tuple[str, Cache]:
        g, spec, name = self.graph, self.spec, f"{self.prefix}.{name}"
        joined = g.linear(f"{name}.c_attn", hidden)
        heads = g.const([0, 0, spec.heads, spec.head_width])
        query, key, value = (
            g.op("Reshape", part, heads) for part in g.ops("Split", 3, joined, axis=-1)
        )
        query, key = self._rotated(query, rotation), self._rotated(key, rotation)
        if past is not None:
            key = g.op("Concat", past.keys, key, axis=1)
            value = g.op("Concat", past.values, value, axis=1)
        scores = g.op(
            "MatMul",
            g.op("Transpose", query, perm=[0, 2, 1, 3]),
            g.op("Transpose", key, perm=[0, 2, 3, 1]),
        )
        scores = g.op("Mul", scores, g.const(spec.head_width**-0.5, np.float32))
        scores = g.op("Where", visible, scores, g.const(LOWEST, np.float32))
        mixed = g.op(
            "MatMul",
            g.op("Softmax", scores, axis=-1),
            g.op("Transpose", value, perm=[0, 2, 1, 3]),
        )
        mixed = g.op("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = g.op("Reshape", mixed, g.const([0, 0, spec.hidden]))
        return g.linear(f"{name}.c_proj", mixed), Cache(key, value)

    def _feed_forward(self, name: str, hidden: str) -> str:
        g, name = self.graph, f"{self.prefix}.{name}"
        return g.linear(f"{name}.fc_out", self._gelu(g.linear(f"{name}.fc_in", hidden)))

    def _gelu(self, x: str) -> str:
        """The tanh approximation, node by node: this opset has no node of its own for it."""
        g = self.graph
        cube = g.op("Mul", g.op("Mul", x, x), x)
        inner = g.op("Add", x, g.op("Mul", cube, g.const(0.044715, np.float32)))
        inner = g.op("Mul", inner, g.const(np.sqrt(2 / np.pi), np.float32))
        gate = g.op("Add", g.op("Tanh", inner), g.const(1.0, np.float32))
        return g.op("Mul", g.op("Mul", x, g.const(0.5, np.float32)), gate)

    def _rotated(self, x: str, rotation: Rotation) -> str:
        """Each pair of neighbours is turned by its angle."""
        g, spec = self.graph, self.spec
        ends = g.const([np.iinfo(np.int64).max])
        axis, step = g.const([3]), g.const([2])
        even = g.op("Slice", x, g.const([0]), ends, axis, step)
        odd = g.op("Slice", x, g.const([1]), ends, axis, step)
        last = g.const([-1])
        pairs = [g.op("Unsqueeze", part, last) for part in (g.op("Neg", odd), even)]
        turned = g.op("Concat", *pairs, axis=-1)
        turned = g.op("Reshape", turned, g.const([0, 0, spec.heads, spec.head_width]))
        return g.op("Add", g.op("Mul", x, rotation.cos), g.op("Mul", turned, rotation.sin))

    def _twice(self, x: str, shape: str) -> str:
        g = self.graph
        x = g.op("Unsqueeze", x, g.const([-1]))
        return g.op("Reshape", g.op("Concat", x, x, axis=-1), shape)


def step_visible(g: Graph, past: Cache, valid: str) -> str:
    """Of one new step for each row, which stands behind all of the past: the key at place p is seen
    if p < valid + 1 and p <= valid, though only a row whose past is all valid has its own there.

    `valid` int64 [rows]
    """
    steps = g.op("Gather", g.op("Shape", past.keys), g.const(1), axis=0)
    every = g.op("Add", steps, g.const(1))
    places = g.op("Unsqueeze", g.op("Range", g.const(0), every, g.const(1)), g.const([0]))
    valid = g.op("Unsqueeze", valid, g.const([1]))
    there = g.op("Less", places, g.op("Add", valid, g.const(1)))
    before = g.op("LessOrEqual", places, valid)
    return g.op("Unsqueeze", g.op("And", there, before), g.const([1, 2]))


def causal(g: Graph, mask: str) -> str:
    """`mask` int64 [rows, steps], 1 where a step is valid."""
    steps = g.op("Gather", g.op("Shape", mask), g.const(1), axis=0)
    places = g.op("Range", g.const(0), steps, g.const(1))
    queries = g.op("Unsqueeze", places, g.const([1]))
    before = g.op("LessOrEqual", g.op("Unsqueeze", places, g.const([0])), queries)
    valid = g.op("Unsqueeze", g.op("Cast", mask, to=BOOL), g.const([1, 2]))
    return g.op("And", g.op("Unsqueeze", before, g.const([0, 1])), valid)


def as_int64(g: Graph, value: str) -> str:
    return g.op("Cast", value, to=INT64)
