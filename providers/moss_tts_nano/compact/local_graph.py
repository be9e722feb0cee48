"""Writes the local transformer: one graph that draws a whole frame."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from providers.moss_tts_nano.compact.blocks import Blocks, Stream, attention, joined_rows, rotation
from providers.moss_tts_nano.compact.embedding import first_row
from providers.moss_tts_nano.compact.emit import BOOL, FLOAT, INT32, INT64, Graph
from providers.moss_tts_nano.compact.quantise import Store, exact
from providers.moss_tts_nano.compact.weights import Tables, Transformer
from providers.moss_tts_nano.parts import Floats, Shape

_MOST = 0.99999994
"""The greatest chance below 1."""
_NEVER = float(np.finfo(np.float32).min)
_CANDIDATES = 3
"""Times as many codes as may be drawn are looked at closely."""


class Sampling(NamedTuple):
    """The numbers that the shipped graph has inside."""

    go_on: int
    """Text token: the row goes on."""
    stop: int
    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float


class Local(NamedTuple):
    """What the graph is made of."""

    transformer: Transformer
    tables: Tables
    table_file: str
    """Where the tables lie, in the graph's folder."""
    known_file: str
    """And where that lies which the first block's first product makes of each code."""
    shape: Shape
    heads: int
    sampling: Sampling


def write_known(path: Path, local: Local) -> None:
    """The table of what is known of each code but the last codebook's, which nothing follows:
    float32 [codebooks - 1, entries, 3 * hidden]."""
    with path.open("wb") as file:
        for table in local.tables.audio[:-1]:
            known = joined_rows(local.transformer.blocks[0], table)
            file.write(np.ascontiguousarray(known, np.float32).data)


def write(graph: Graph, local: Local, store: Store, rough: Store | None = None) -> None:
    """In: `hidden` [rows, hidden], `seen` int32 [rows, codebooks, entries], `text_chance` [rows],
    `audio_chance` [rows, codebooks]. Out: `goes_on` [rows], `codes` int32 [rows, codebooks].

    A row that does not go on has codes too: those of the frame that would have followed.

    With `rough` heads, these choose the candidates among which a code is drawn, whose logits are
    then made in float32. For one row that is a fourth of the heads' bytes; several rows read them
    together anyway.
    """
    frame = _Frame(graph, local, store)
    normed = frame.begin(graph.input("hidden", FLOAT, ["rows", local.shape.hidden]))
    draw = _Draw(graph, local)
    graph.named("goes_on", draw.goes_on(frame.at(normed, 0)))
    codes, state = [], frame.at(normed, 1)
    for channel, table in enumerate(local.tables.audio):
        head = _Head(graph, table, _table(graph, local, channel), rough)
        codes.append(draw.code(channel, state, head))
        if channel + 1 < local.shape.codebooks:
            state = frame.step(channel, codes[-1])
    graph.named("codes", graph.op("Cast", graph.op("Concat", *codes, axis=1), to=INT32))
    graph.output("goes_on", BOOL, ["rows"])
    graph.output("codes", INT32, ["rows", local.shape.codebooks])


def _table(graph: Graph, local: Local, codebook: int) -> str:
    """A codebook's embeddings, where the language model has them too."""
    shape = local.shape
    start = 4 * shape.hidden * first_row(shape, codebook)
    return graph.elsewhere((shape.codebook_size, shape.hidden), local.table_file, start)


def _known(graph: Graph, local: Local, codebook: int) -> str:
    sizes = local.shape.codebook_size, 3 * local.shape.hidden
    return graph.elsewhere(sizes, local.known_file, 4 * codebook * sizes[0] * sizes[1])


class _Head:
    """Logits of one codebook."""

    def __init__(self, graph: Graph, table: Floats, name: str, rough: Store | None) -> None:
        """`name`: the table's in the graph, [entries, hidden]"""
        self._graph, self._name = graph, name
        self.all = exact(graph, table.T) if rough is None else rough(graph, table.T)
        """Of all entries, [rows, 1, entries]; rough ones, where there are such."""
        self.is_rough = rough is not None

    def of(self, candidates: str, state: str) -> str:
        """Exact ones. `candidates` int64 [rows, count]; out [rows, 1, count]"""
        rows = self._graph.op("Gather", self._name, candidates, axis=0)
        return self._graph.contrib("FusedMatMul", state, rows, transB=1)


class _Frame:
    """The positions of one frame, one behind the other."""

    def __init__(self, graph: Graph, local: Local, store: Store) -> None:
        self._graph, self._local = graph, local
        self._blocks = Blocks(graph, local.transformer, store)
        turn = rotation(local.shape.codebooks + 1, local.shape.hidden // local.heads)
        self._turn = graph.constant(turn[0], np.float32), graph.constant(turn[1], np.float32)
        self._past = [("", "")] * self._blocks.count
        self._length = 0
        self._rows = ""

    def begin(self, hidden: str) -> str:
        """The first two positions at once, for what stands in the second is known: the token for
        going on (should the row stop, its codes do not count)."""
        graph = self._graph
        rows = graph.op("Shape", hidden, start=0, end=1)
        self._rows = graph.op("Expand", graph.constant([0], np.int32), rows)
        word = self._local.tables.text[[self._local.sampling.go_on]]
        first = graph.op("Unsqueeze", hidden, graph.constant([1]))
        joined = self._blocks.joined(0, self._blocks.begin(first))
        known = joined_rows(self._local.transformer.blocks[0], word)
        return self._walk(self._beside(first, word), self._beside(joined, known), 2)

    def step(self, codebook: int, code: str) -> str:
        """The next position has this code, int64 [rows, 1]; out comes the normed state.

        What the block's first product makes of each code is in a table: a quarter of the weights
        need not be read.
        """
        graph, local = self._graph, self._local
        row = graph.op("Gather", _table(graph, local, codebook), code, axis=0)
        joined = graph.op("Gather", _known(graph, local, codebook), code, axis=0)
        return self._walk(row, joined, 1)

    def at(self, normed: str, step: int) -> str:
        graph = self._graph
        return graph.op("Slice", normed, *(graph.constant([each]) for each in (step, step + 1, 1)))

    def _beside(self, first: str, second: Floats) -> str:
        """Two steps, the second the same for all rows. `first` [rows, 1, width]"""
        graph = self._graph
        shape = graph.op("Shape", first)
        same = graph.op("Expand", graph.constant(second[None], np.float32), shape)
        return graph.op("Concat", first, same, axis=1)

    def _walk(self, hidden: str, joined: str, steps: int) -> str:
        """`hidden` [rows, steps, hidden], and what the first block makes of it, [rows, steps,
        3 * hidden]."""
        graph, blocks = self._graph, self._blocks
        self._length += steps
        lengths = graph.op("Add", self._rows, graph.constant(self._length - 1, np.int32))
        longest = graph.constant(self._length, np.int32)
        stream = Stream(hidden, "")
        for at in range(blocks.count):
            present = [graph.name(), graph.name()]
            mixed = attention(
                graph,
                blocks.joined(at, stream) if at else joined,
                past=self._past[at],
                lengths=(lengths, longest),
                rotation=self._turn,
                present=present,
                heads=self._local.heads,
            )
            self._past[at] = present[0], present[1]
            stream = blocks.finish(at, stream, mixed)
        return stream.normed


class _Draw:
    """Choices from logits, each with a chance that is given."""

    def __init__(self, graph: Graph, local: Local) -> None:
        self._graph, self._local = graph, local
        self._sampling = sampling = local.sampling
        count = local.shape.codebooks
        seen = graph.input("seen", INT32, ["rows", count, local.shape.codebook_size])
        heard = graph.op("Greater", seen, graph.constant(0, np.int32))
        penalty, none = (
            graph.constant(each, np.float32) for each in (sampling.repetition_penalty, 1.0)
        )
        self._penalties = graph.ops("Split", count, graph.op("Where", heard, penalty, none), axis=1)
        self._chances = graph.ops(
            "Split",
            count,
            self._clamped(graph.input("audio_chance", FLOAT, ["rows", count])),
            axis=1,
        )

    def goes_on(self, state: str) -> str:
        """`state` [rows, 1, hidden]; out bool [rows]"""
        graph, sampling = self._graph, self._sampling
        chance = self._clamped(graph.input("text_chance", FLOAT, ["rows"]))
        pair = exact(graph, self._local.tables.text[[sampling.go_on, sampling.stop]].T)(state)
        shares = graph.op("Softmax", pair, axis=-1)
        flat = graph.op("Reshape", shares, graph.constant([-1, 2]))
        share = graph.op("Gather", flat, graph.constant(0), axis=1)
        return graph.op("GreaterOrEqual", share, chance)

    def code(self, channel: int, state: str, head: _Head) -> str:
        """`state` [rows, 1, hidden]; out int64 [rows, 1]"""
        graph, penalty = self._graph, self._penalties[channel]
        paid = self._flat(self._paid(head.all(state), penalty))
        if not head.is_rough:
            return self._drawn(channel, paid)
        count = min(self._local.shape.codebook_size, _CANDIDATES * self._sampling.top_k)
        _, candidates = graph.ops("TopK", 2, paid, graph.constant([count]), axis=-1, sorted=0)
        penalty = graph.op("GatherElements", self._flat(penalty), candidates, axis=1)
        paid = self._paid(self._flat(head.of(candidates, state)), penalty)
        return graph.op("GatherElements", candidates, self._drawn(channel, paid), axis=1)

    def _paid(self, logits: str, penalty: str) -> str:
        """The lesser of the logit times and by the penalty is right for either sign."""
        graph = self._graph
        return graph.op("Min", graph.op("Mul", logits, penalty), graph.op("Div", logits, penalty))

    def _drawn(self, channel: int, paid: str) -> str:
        """`paid` [rows, count]; out int64 [rows, 1], which of them"""
        graph, sampling = self._graph, self._sampling
        heat = graph.op("Div", paid, graph.constant(sampling.temperature, np.float32))
        scores, ids = graph.ops("TopK", 2, heat, graph.constant([sampling.top_k]), axis=-1)
        shares = graph.op("Softmax", scores, axis=-1)
        before = graph.op("Sub", graph.op("CumSum", shares, graph.constant(1)), shares)
        kept = graph.op("Less", before, graph.constant(sampling.top_p, np.float32))
        scores = graph.op("Where", kept, scores, graph.constant(_NEVER, np.float32))
        reached = graph.op("CumSum", graph.op("Softmax", scores, axis=-1), graph.constant(1))
        passed = graph.op("Cast", graph.op("Less", reached, self._chances[channel]), to=INT64)
        at = graph.op("ReduceSum", passed, graph.constant([1]), keepdims=1)
        at = graph.op("Min", at, graph.constant(sampling.top_k - 1))
        return graph.op("GatherElements", ids, at, axis=1)

    def _flat(self, x: str) -> str:
        """[rows, 1, count] as [rows, count]"""
        return self._graph.op("Reshape", x, self._graph.constant([0, -1]))

    def _clamped(self, chance: str) -> str:
        least, most = (self._graph.constant(each, np.float32) for each in (0.0, _MOST))
        return self._graph.op("Clip", chance, least, most)
