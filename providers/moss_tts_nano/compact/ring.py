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
    late. Places come first, so that the beginning of a larger cache is one too.
    """

    head_width: int
    places: str
    """Where new steps go: int64 [steps, 1]."""
    unseen: str
    """float32 [steps, room]: 0 where a new step sees what stands there, else next to nothing."""

    def attend(
        self, graph: Graph, attention: Attention, past: list[str], present: list[str]
    ) -> str:
        """`past` and `present`: keys and values [room, 1, heads, head width]. Where these are bound
        to the memory of those, only new steps are written."""
        for before, new, after in zip(past, (attention.key, attention.value), present, strict=True):
            steps = graph.op("Transpose", new, perm=[2, 0, 1, 3])
            graph.ops("ScatterND", [after], before, self.places, steps)
        keys, values = present
        scale, turned = 1 / math.sqrt(self.head_width), {"transB": 1, "transBatchB": 1}
        scores = graph.contrib("FusedMatMul", attention.query, keys, alpha=scale, **turned)
        shares = graph.op("Softmax", graph.op("Add", scores, self.unseen), axis=-1)
        return graph.contrib("FusedMatMul", shares, values, transBatchB=1)


def ring(graph: Graph, new: str, past: str, total: str, shape: tuple[int, int]) -> Ring:
    """`new` [1, heads, steps, head width] go into `past` [room, 1, heads, head width]; `total`
    int64 [1]: all steps, with the new ones. `shape`: head width, context."""
    head_width, context = shape
    steps = graph.op("Shape", new, start=2, end=3)
    room = graph.op("Shape", past, start=0, end=1)
    at = graph.op("Add", graph.op("Sub", total, steps), _up_to(graph, steps))
    places = graph.op("Unsqueeze", graph.op("Mod", at, room), graph.constant([1]))
    unseen = _unseen(graph, at, graph.op("Sub", total, graph.constant([1])), room, context)
    return Ring(head_width, places, unseen)


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
