"""The transformer block as nodes of a graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from providers.moss_tts_nano.compact.emit import MICROSOFT, Graph
from providers.moss_tts_nano.compact.quantise import Store
from providers.moss_tts_nano.compact.weights import Block, Floats, Norm, Transformer

_EPSILON = 1e-5
_ROTARY_BASE = 10000.0


class Stream(NamedTuple):
    """What goes from block to block, each [rows, steps, hidden]."""

    plain: str
    normed: str
    """By the norm of the block that comes next, or by the last one."""


class Blocks:
    """One transformer whose weights are in the graph once, however often it is walked through."""

    def __init__(self, graph: Graph, transformer: Transformer, store: Store) -> None:
        self._graph = graph
        self.count = len(transformer.blocks)
        self._layers = [_Layer(graph, block, store) for block in transformer.blocks]
        self._norms = [_norm(graph, block.first) for block in transformer.blocks]
        self._norms.append(_norm(graph, transformer.last))

    def begin(self, hidden: str) -> Stream:
        scale, bias = self._norms[0]
        normed = self._graph.op(
            "LayerNormalization", hidden, scale, bias, axis=-1, epsilon=_EPSILON
        )
        return Stream(hidden, normed)

    def joined(self, at: int, stream: Stream) -> str:
        """Queries, keys and values of block `at` in one: [rows, steps, 3 * hidden]."""
        layer = self._layers[at]
        return self._graph.op("Add", layer.joined(stream.normed), layer.joined_bias)

    def finish(self, at: int, stream: Stream, mixed: str) -> Stream:
        """The rest of block `at`, given what its attention has mixed."""
        graph, layer = self._graph, self._layers[at]
        plain, normed = self._added(
            layer.projected(mixed), layer.projected_bias, stream.plain, layer.second
        )
        wide = graph.contrib("FastGelu", layer.wide(normed), layer.wide_bias)
        return Stream(
            *self._added(layer.narrow(wide), layer.narrow_bias, plain, self._norms[at + 1])
        )

    def _added(self, x: str, bias: str, hidden: str, norm: tuple[str, str]) -> tuple[str, str]:
        """The sum, then the sum normed."""
        outputs = [self._graph.name(), "", "", self._graph.name()]
        self._graph.ops(
            "SkipLayerNormalization",
            outputs,
            x,
            hidden,
            *norm,
            bias,
            domain=MICROSOFT,
            epsilon=_EPSILON,
        )
        return outputs[3], outputs[0]


class _Layer:
    """One block's weights, in the graph."""

    def __init__(self, graph: Graph, block: Block, store: Store) -> None:
        self.joined = store(graph, block.joined.weight)
        self.joined_bias = graph.weight(block.joined.bias)
        self.projected = store(graph, block.projected.weight)
        self.projected_bias = graph.weight(block.projected.bias)
        self.second = _norm(graph, block.second)
        self.wide = store(graph, block.wide.weight)
        self.wide_bias = graph.weight(block.wide.bias)
        self.narrow = store(graph, block.narrow.weight)
        self.narrow_bias = graph.weight(block.narrow.bias)


def attention(
    graph: Graph,
    joined: str,
    *,
    past: tuple[str, str],
    lengths: tuple[str, str],
    rotation: tuple[str, str],
    present: list[str],
    heads: int,
) -> str:
    """Causal attention on a past that may be empty, with rotary positions.

    `lengths`: int32 [rows], each row's length with the new steps less one; int32, the greatest
    length. Several new steps on a past need to be of one row.
    """
    mixed = graph.name()
    graph.ops(
        "GroupQueryAttention",
        [mixed, *present],
        joined,
        "",
        "",
        *past,
        *lengths,
        *rotation,
        domain=MICROSOFT,
        num_heads=heads,
        kv_num_heads=heads,
        do_rotary=1,
        rotary_interleaved=1,
    )
    return mixed


def joined_rows(block: Block, rows: Floats) -> Floats:
    """Queries, keys and values that a block makes of known rows [count, hidden]."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float32(_EPSILON))
    normed = centred / spread * block.first.scale + block.first.bias
    joined: Floats = normed @ block.joined.weight + block.joined.bias
    return joined


def rotation(steps: int, head_width: int) -> tuple[Floats, Floats]:
    """Cosines and sines [steps, head_width / 2], in single precision throughout, as shipped."""
    powers = np.arange(0, head_width, 2, dtype=np.float32) / np.float32(head_width)
    frequencies = np.float32(1) / np.float32(_ROTARY_BASE) ** powers
    angles = np.arange(steps, dtype=np.float32)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)


def _norm(graph: Graph, norm: Norm) -> tuple[str, str]:
    return graph.weight(norm.scale), graph.weight(norm.bias)
