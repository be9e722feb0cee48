"""Writes the codec's decoder: the shipped step, with caches that are written in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from providers.moss_tts_nano.compact.attentions import Attention, appended, attention_of
from providers.moss_tts_nano.compact.emit import FLOAT, INT32, INT64, Graph
from providers.moss_tts_nano.compact.rewrite import Rewrite
from providers.moss_tts_nano.compact.ring import Ring, ring
from providers.moss_tts_nano.compact.shipped import CannotRebuild, Shipped
from providers.moss_tts_nano.metadata import CacheSpec, CodecMeta, StreamingDecode


def write(graph: Graph, path: Path, meta: CodecMeta) -> None:
    """From the shipped step at `path`.

    In: `codes` int32 [1, frames, codebooks], `frames` int32 [1] (so far, with these), for each
    offset that counts `offset_i`, and for each attention `past_key_i` and `past_value_i` [room,
    1, heads, head width], with the room that `Ring` asks for. Out: `audio`, `offset_out_i`,
    `steps_i` int64 [1] (how many are new to an attention), and the caches, which are to be bound
    to the memory of the past ones.

    Raises: CannotRebuild
    """
    shipped, caches = Shipped(path), meta.streaming_decode.attention_caches
    rewrite = Rewrite(shipped, graph)
    graph.input("frames", INT32, [1])
    codes = meta.onnx.decode_step_input_names[0]
    rings = _Rings(rewrite, codes)
    for cache, attention in zip(caches, _attentions(shipped, caches), strict=True):
        rings.replace(cache, attention)
    inputs, outputs = {codes: "codes"}, {meta.onnx.decode_step_output_names[0]: "audio"}
    outputs |= {name: name for name in _beside(len(caches))}
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


class _Rings:
    """Puts rings in the place of attentions, one after the other."""

    def __init__(self, rewrite: Rewrite, codes: str) -> None:
        self._rewrite, self._graph, self._codes = rewrite, rewrite.graph, codes
        self._rings: dict[tuple[int, ...], Ring] = {}
        self._count = 0

    def replace(self, cache: CacheSpec, attention: Attention) -> None:
        graph, at = self._graph, self._count
        room: list[int | str] = [f"room_{at}", 1, cache.num_heads, cache.head_dim]
        past = [graph.input(f"past_{what}_{at}", FLOAT, room) for what in ("key", "value")]
        present = [f"present_{what}_{at}" for what in ("key", "value")]
        for name in present:
            graph.output(name, FLOAT, room)
        steps = graph.ops("Shape", [f"steps_{at}"], attention.key, start=2, end=3)[0]
        graph.output(steps, INT64, [1])
        mixed = self._ring(cache, attention, past[0], steps).attend(graph, attention, past, present)
        graph.named(attention.mixed.output[0], mixed)
        self._rewrite.replace(attention.mixed)
        self._count += 1

    def _ring(self, cache: CacheSpec, attention: Attention, past: str, steps: str) -> Ring:
        """That of the transformer that the attention belongs to."""
        graph, shape = self._graph, (cache.head_dim, cache.context)
        alike = (cache.decoder_index, *shape)
        if alike not in self._rings:
            frames = graph.op("Shape", self._codes, start=1, end=2)
            so_far = graph.op("Cast", "frames", to=INT64)
            total = graph.op("Mul", graph.op("Div", steps, frames), so_far)
            self._rings[alike] = ring(graph, attention.key, past, total, shape)
        return self._rings[alike]


def _beside(count: int) -> list[str]:
    """What each attention gives beside the sound."""
    names = ("steps", "present_key", "present_value")
    return [f"{name}_{at}" for at in range(count) for name in names]
