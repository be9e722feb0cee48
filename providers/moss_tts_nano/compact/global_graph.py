"""Writes the language model: one graph that reads a prompt and appends a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from providers.moss_tts_nano.compact.blocks import Blocks, attention
from providers.moss_tts_nano.compact.emit import FLOAT, INT32, Graph
from providers.moss_tts_nano.compact.quantise import Store
from providers.moss_tts_nano.compact.weights import Transformer

_END = np.iinfo(np.int64).max


def write(graph: Graph, transformer: Transformer, heads: int, store: Store) -> None:
    """In: `embedded` [rows, steps, hidden], `lengths` [rows] (with the new steps, less one),
    `longest` (with the new steps), `cos` and `sin`, and for each block `past_key_i` and
    `past_value_i` [rows, heads, capacity, head width]. Out: `hidden` [rows, 1, hidden] of the last
    step; the caches, which are to be bound to the memory of the past ones."""
    hidden = len(transformer.last.scale)
    stream_in = graph.input("embedded", FLOAT, ["rows", "steps", hidden])
    lengths = graph.input("lengths", INT32, ["rows"]), graph.input("longest", INT32, [])
    half = hidden // heads // 2
    turn = (
        graph.input("cos", FLOAT, ["positions", half]),
        graph.input("sin", FLOAT, ["positions", half]),
    )
    blocks = Blocks(graph, transformer, store)
    stream = blocks.begin(stream_in)
    for at in range(blocks.count):
        past, present = _caches(graph, at, heads, hidden // heads)
        mixed = attention(
            graph,
            blocks.joined(at, stream),
            past=past,
            lengths=lengths,
            rotation=turn,
            present=present,
            heads=heads,
        )
        if at == blocks.count - 1:  # of the last block only the last step is asked for
            mixed = _last(graph, mixed)
            stream = stream._replace(plain=_last(graph, stream.plain))
        stream = blocks.finish(at, stream, mixed)
    graph.named("hidden", stream.normed)
    graph.output("hidden", FLOAT, ["rows", 1, hidden])


def probe(shapes: Mapping[str, Sequence[int | str]]) -> dict[str, NDArray[Any]]:
    """Three rows of a prompt to run the graph with."""
    chance = np.random.default_rng(0)
    sizes = {"rows": 1, "steps": 3, "capacity": 4, "positions": 4}
    feeds: dict[str, NDArray[Any]] = {
        name: chance.standard_normal(
            [each if isinstance(each, int) else sizes[each] for each in shape], np.float32
        )
        for name, shape in shapes.items()
    }
    return feeds | {"lengths": np.array([2], np.int32), "longest": np.array(3, np.int32)}


def _caches(graph: Graph, at: int, heads: int, width: int) -> tuple[tuple[str, str], list[str]]:
    for what in ("key", "value"):
        graph.input(f"past_{what}_{at}", FLOAT, ["rows", heads, "capacity", width])
        graph.output(f"present_{what}_{at}", FLOAT, ["rows", heads, "capacity", width])
    past = f"past_key_{at}", f"past_value_{at}"
    return past, [f"present_key_{at}", f"present_value_{at}"]


def _last(graph: Graph, x: str) -> str:
    return graph.op("Slice", x, graph.constant([-1]), graph.constant([_END]), graph.constant([1]))
