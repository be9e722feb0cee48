"""Writes the codec's encoder: the shipped one, with attention that walks along the clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from providers.moss_tts_nano.compact.attentions import Attention, attention_of
from providers.moss_tts_nano.compact.emit import BOOL, FLOAT, INT32, INT64, Graph
from providers.moss_tts_nano.compact.rewrite import Rewrite
from providers.moss_tts_nano.compact.shipped import CannotRebuild, Shipped
from providers.moss_tts_nano.compact.window import Window
from providers.moss_tts_nano.metadata import CacheSpec, CodecMeta

PARTS = 4
"""A window is walked in so many strides: fewer see more that is masked, more cost more calls."""


def write(graph: Graph, path: Path, meta: CodecMeta) -> None:
    """From the shipped graph at `path`, for one clip at a time. In: those of its inputs that count.
    Out: `codes`.

    The encoder mirrors the decoder, so its windows are taken to be those of the decoder's caches in
    reverse; whether they are, the comparison with the shipped graph tells.

    Raises: CannotRebuild
    """
    shipped, caches = Shipped(path), meta.streaming_decode.attention_caches
    found = [attention_of(shipped, node) for node in shipped.nodes if node.op_type == "Softmax"]
    if len(found) != len(caches):
        raise CannotRebuild(f"It attends {len(found)} times, and the decoder {len(caches)} times.")
    rewrite = Rewrite(shipped, graph)
    for attention, cache in zip(found, reversed(caches), strict=True):
        _replace(rewrite, attention, cache)
    codes = meta.onnx.encode_output_names[0]
    needed = rewrite.needs([codes])
    inputs = [name for name in meta.onnx.encode_input_names if name in needed]
    rewrite.finish({codes: "codes"}, {name: name for name in inputs})


def _replace(rewrite: Rewrite, attention: Attention, cache: CacheSpec) -> None:
    graph = rewrite.graph
    window = Window(graph, cache.num_heads, cache.head_dim, cache.context)
    stride = max(1, cache.context // PARTS)
    flat = [window.flat(each) for each in (attention.query, attention.key, attention.value)]
    count = graph.op("Shape", flat[0], start=1, end=2)
    whole = [_filled(graph, each, count, stride) for each in flat]
    mixed = _walked(graph, window, whole, stride)
    window.unflat(
        graph.op("Slice", mixed, graph.constant([0]), count, graph.constant([1])),
        attention.mixed.output[0],
    )
    rewrite.replace(attention.mixed)


def _filled(graph: Graph, x: str, count: str, stride: int) -> str:
    """Silence behind, until the strides are whole; nothing before it sees it."""
    missing = graph.op("Mod", graph.op("Neg", count), graph.constant([stride]))
    none = graph.constant([0, 0, 0, 0])
    return graph.op("Pad", x, graph.op("Concat", none, missing, graph.constant([0]), axis=0))


def _walked(graph: Graph, window: Window, flat: list[str], stride: int) -> str:
    """Attention stride by stride; the window moves along as the loop's state."""
    hidden = window.heads * window.head_width
    steps = graph.op("Shape", flat[0], start=1, end=2)
    rounds = graph.op("Squeeze", graph.op("Div", steps, graph.constant([stride])))
    empty = graph.constant(np.zeros((1, window.heads, 1, window.head_width)), np.float32)
    shape = graph.constant([1, window.heads, window.context, window.head_width])
    start = graph.op("Expand", empty, shape)
    body = _body(graph, window, flat, stride)
    strides = graph.ops("Loop", 3, rounds, "", start, start, body=body)[2]
    return graph.op("Reshape", strides, graph.constant([1, -1, hidden]))


def _body(graph: Graph, window: Window, flat: list[str], stride: int) -> onnx.GraphProto:
    """One stride."""
    before = graph.cut()
    at, go_on, keys, values = (graph.name() for _ in range(4))
    first = graph.op("Mul", at, graph.constant(stride))
    begin = graph.op("Reshape", first, graph.constant([1]))
    end = graph.op("Add", begin, graph.constant([stride]))
    parts = [graph.op("Slice", each, begin, end, graph.constant([1])) for each in flat]
    total = graph.op("Cast", end, to=INT32)
    present = [graph.name(), graph.name()]
    mixed = window.attend(parts, [keys, values], present, total)
    told = graph.op("Identity", go_on)
    nodes = graph.cut()
    graph.take(before, [], [])
    cache = [1, window.heads, window.context, window.head_width]
    value = helper.make_tensor_value_info
    return helper.make_graph(
        nodes,
        "stride",
        [
            value(at, INT64, []),
            value(go_on, BOOL, []),
            *(value(name, FLOAT, cache) for name in (keys, values)),
        ],
        [
            value(told, BOOL, []),
            *(value(name, FLOAT, cache) for name in present),
            value(mixed, FLOAT, [1, stride, window.heads * window.head_width]),
        ],
    )
