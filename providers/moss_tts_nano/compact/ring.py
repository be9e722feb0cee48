"""Attention over caches that are written round and round, as nodes of a graph."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from providers.moss_tts_nano.compact.attentions import Attention
from providers.moss_tts_nano.compact.emit import INT32, Graph

_NEVER = float(np.finfo(np.float32).min)


class Ring(NamedTuple):
    """What attentions of one rate and one context have in common.

    Step `t` stands in place `t` modulo the room of its cache; what is attended to has no order, for
    rotary positions are in the keys already. There must be room for all steps so far, or for the
    context and the new steps together: then no new step sees another one's place too soon or too
    late.
    """

    heads: int
    head_width: int
    places: str
    """Where new steps go: int64 [1, heads, steps, 3], indices into a cache."""
    unseen: str
    """float32 [steps, room]: 0 where a new step sees what stands there, else next to nothing."""

    def attend(
        self, graph: Graph, attention: Attention, past: list[str], present: list[str]
    ) -> str:
        """`past` and `present`: keys and values [1, heads, room, head width]. Where these are bound
        to the memory of those, only new steps are written."""
        new = attention.key, attention.value
        for before, steps, after in zip(past, new, present, strict=True):
            graph.ops("ScatterND", [after], before, self.places, steps)
        keys, values = present
        scale = 1 / math.sqrt(self.head_width)
        scores = graph.contrib("FusedMatMul", attention.query, keys, transB=1, alpha=scale)
        shares = graph.op("Softmax", graph.op("Add", scores, self.unseen), axis=-1)
        return graph.op("MatMul", shares, values)


def ring(graph: Graph, new: str, past: str, total: str, shape: tuple[int, int, int]) -> Ring:
    """`new` [1, heads, steps, head width] go into `past` [1, heads, room, head width]; `total`
    int64 [1]: all steps, with the new ones. `shape`: heads, head width, context."""
    heads, head_width, context = shape
    steps, room = (graph.op("Shape", each, start=2, end=3) for each in (new, past))
    at = graph.op("Add", graph.op("Sub", total, steps), _up_to(graph, steps))
    place = graph.op("Mod", at, room)
    unseen = _unseen(graph, at, graph.op("Sub", total, graph.constant([1])), room, context)
    return Ring(heads, head_width, _places(graph, place, steps, heads), unseen)


def _places(graph: Graph, place: str, steps: str, heads: int) -> str:
    """Indices of each new step of each head, by its place [steps]."""
    shape = graph.op("Concat", graph.constant([1, heads]), steps, graph.constant([1]), axis=0)
    head = np.arange(heads).reshape(1, heads, 1, 1)
    column = graph.op("Unsqueeze", place, graph.constant([0, 1, 3]))
    each = (graph.constant(np.zeros((1, 1, 1, 1))), graph.constant(head), column)
    return graph.op("Concat", *(graph.op("Expand", one, shape) for one in each), axis=3)


def _unseen(graph: Graph, at: str, last: str, room: str, context: int) -> str:
    """For new steps `at` [steps], the last one included: how long ago was written what stands in
    each place, and is that within the context, and written at all?"""
    ago = graph.op("Mod", graph.op("Sub", last, _up_to(graph, room)), room)
    left = graph.op("Sub", last, at)
    reach = graph.op("Min", graph.op("Add", at, graph.constant([1])), graph.constant([context]))
    ago, left, reach = (graph.op("Cast", each, to=INT32) for each in (ago, left, reach))
    left, reach = (graph.op("Unsqueeze", each, graph.constant([1])) for each in (left, reach))
    age = graph.op("Sub", ago, left)
    seen = graph.op(
        "And",
        graph.op("GreaterOrEqual", age, graph.constant([0], np.int32)),
        graph.op("Less", age, reach),
    )
    none, never = (graph.constant(each, np.float32) for each in (0, _NEVER))
    return graph.op("Where", seen, none, never)


def _up_to(graph: Graph, count: str) -> str:
    """0, 1, … less than `count` int64 [1]."""
    zero, one = graph.constant(0), graph.constant(1)
    return graph.op("Range", zero, graph.op("Squeeze", count), one)
