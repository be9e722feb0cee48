"""Writes the codec's decoder: the shipped step, with sliding windows that move in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from providers.moss_tts_nano.compact.attentions import Attention, appended, attention_of
from providers.moss_tts_nano.compact.emit import FLOAT, INT32, Graph
from providers.moss_tts_nano.compact.rewrite import Rewrite
from providers.moss_tts_nano.compact.shipped import CannotRebuild, Shipped
from providers.moss_tts_nano.compact.window import Window
from providers.moss_tts_nano.metadata import CacheSpec, CodecMeta, StreamingDecode

SLACK = 16
"""A cache has room for a window and one part in so many beside it: it is moved up only when that
is full, and what lies beside the window costs a little at each step."""


def write(graph: Graph, path: Path, meta: CodecMeta) -> None:
    """From the shipped step at `path`.

    In: `codes` int32 [1, frames, codebooks], `frames` int32 [1] (so far, with these), for each
    offset that counts `offset_i`, and for each attention `past_key_i` and `past_value_i` [1, heads,
    room, head width]. Out: `audio`, `offset_out_i`, and the caches, which are to be bound to the
    memory of the past ones.

    Raises: CannotRebuild
    """
    shipped, caches = Shipped(path), meta.streaming_decode.attention_caches
    rewrite = Rewrite(shipped, graph)
    graph.input("frames", INT32, [1])
    codes = meta.onnx.decode_step_input_names[0]
    for at, (cache, attention) in enumerate(zip(caches, _attentions(shipped, caches), strict=True)):
        _replace(rewrite, at, cache, attention, codes)
    inputs, outputs = {codes: "codes"}, {meta.onnx.decode_step_output_names[0]: "audio"}
    outputs |= {name: name for name in _present(len(caches))}
    needed = rewrite.needs(outputs)
    offsets = [each for each in _offsets(meta.streaming_decode) if each[0] in needed]
    for at, (before, after) in enumerate(offsets):
        inputs[before], outputs[after] = f"offset_{at}", f"offset_out_{at}"
    rewrite.finish(outputs, inputs)


def _offsets(streaming: StreamingDecode) -> Iterator[tuple[str, str]]:
    """Counts of steps: the name of what goes in, and of what comes out."""
    for each in streaming.transformer_offsets:
        yield each.input_name, each.output_name
    for cache in streaming.attention_caches:
        yield cache.offset_input_name, cache.offset_output_name


def _attentions(graph: Shipped, caches: Sequence[CacheSpec]) -> list[Attention]:
    """In the order of the caches."""
    found = {}
    for node in graph.nodes:
        if node.op_type == "Softmax":
            attention = attention_of(graph, node)
            past_keys, new_keys = appended(graph, attention.key)
            past_values, new_values = appended(graph, attention.value)
            found[past_keys, past_values] = attention._replace(key=new_keys, value=new_values)
    wanted = [(cache.cached_keys_input_name, cache.cached_values_input_name) for cache in caches]
    if set(wanted) != found.keys():
        raise CannotRebuild(f"{len(found)} attentions were found where {len(wanted)} caches are.")
    return [found[each] for each in wanted]


def _replace(rewrite: Rewrite, at: int, cache: CacheSpec, attention: Attention, codes: str) -> None:
    graph = rewrite.graph
    room = cache.context + cache.context // SLACK
    shape: list[int | str] = [1, cache.num_heads, room, cache.head_dim]
    past = [graph.input(f"past_{what}_{at}", FLOAT, shape) for what in ("key", "value")]
    present = [f"present_{what}_{at}" for what in ("key", "value")]
    for name in present:
        graph.output(name, FLOAT, shape)
    total = _total(graph, attention.key, codes)
    window = Window(graph, cache.num_heads, cache.head_dim, cache.context)
    flat = [window.flat(each) for each in (attention.query, attention.key, attention.value)]
    window.unflat(window.attend(flat, past, present, total), attention.mixed.output[0])
    rewrite.replace(attention.mixed)


def _total(graph: Graph, key: str, codes: str) -> str:
    """Steps of an attention so far: as many for each frame as there are now."""
    steps = graph.op("Shape", key, start=2, end=3)
    frames = graph.op("Shape", codes, start=1, end=2)
    each = graph.op("Cast", graph.op("Div", steps, frames), to=INT32)
    return graph.op("Mul", each, "frames")


def _present(count: int) -> list[str]:
    return [f"present_{what}_{at}" for at in range(count) for what in ("key", "value")]
