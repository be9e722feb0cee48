"""The local transformer: one graph for a whole frame, which chooses by itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.support.tiny_moss.block import Blocks, Cache, step_visible
from tests.support.tiny_moss.graph import BOOL, FLOAT, INT, INT64, LOWEST, Graph
from tests.support.tiny_moss.language_model import embedded_code, embedded_text
from tests.support.tiny_moss.local import audio_logits, text_logits
from tests.support.tiny_moss.weights import GOES_ON, STOPS

TEMPERATURE, TOP_P, TOP_K, REPETITION = 0.8, 0.95, 25, 1.2
_MOST = 0.99999994


class _Frame:
    """Positions of one frame, one behind the other."""

    def __init__(self, g: Graph, hidden: str) -> None:
        self.g, spec = g, g.spec
        self._blocks = Blocks(g, "local_transformer")
        rows = g.op("Gather", g.op("Shape", hidden), g.const([0]), axis=0)
        shape = g.op("Concat", rows, g.const([0, spec.heads, spec.head_width]), axis=0)
        nothing = g.op("Expand", g.const(np.zeros((1, 0, 1, 1)), np.float32), shape)
        self._past, self._rows, self._length = Cache(nothing, nothing), rows, 0

    def step(self, row: str) -> str:
        """Give the next position its input [rows, hidden]; out comes the normed state."""
        g = self.g
        valid = g.op("Expand", g.const([self._length]), self._rows)
        rotation = self._blocks.rotation(g.op("Unsqueeze", valid, g.const([1])))
        visible = step_visible(g, self._past, valid)
        row = g.op("Unsqueeze", row, g.const([1]))
        out, self._past = self._blocks.block(0, row, rotation, visible, self._past)
        self._length += 1
        return g.op("Squeeze", self._blocks.norm("ln_f", out), g.const([1]))


def fixed(g: Graph) -> None:
    """Draws with the constants of the real graph, from numbers that are given."""
    spec = g.spec
    hidden = g.input("global_hidden", FLOAT, ["batch", spec.hidden])
    seen = g.input("repetition_seen_mask", INT, ["batch", spec.codebooks, spec.codebook_size])
    chance = _clamped(g, g.input("assistant_random_u", FLOAT, ["batch"]))
    chances = g.input("audio_random_u", FLOAT, ["batch", spec.codebooks])
    frame = _Frame(g, hidden)
    pair = _pair(g, text_logits(g, frame.step(hidden)))
    first = g.op("Gather", g.op("Softmax", pair, axis=-1), g.const(0), axis=1)
    goes_on = g.op("LessOrEqual", chance, first)

    def choose(channel: int, logits: str) -> str:
        chance = _clamped(g, g.op("Gather", chances, g.const([channel]), axis=1))
        return _drawn(g, _penalised(g, seen, channel, logits), chance)

    _rest(frame, goes_on, choose)


def greedy(g: Graph) -> None:
    """Takes the best, once those already there have paid the penalty that is given."""
    spec = g.spec
    hidden = g.input("global_hidden", FLOAT, ["batch", spec.hidden])
    seen = g.input("repetition_seen_mask", INT, ["batch", spec.codebooks, spec.codebook_size])
    penalty = g.op("Unsqueeze", g.input("repetition_penalty", FLOAT, ["penalties"]), g.const([-1]))
    frame = _Frame(g, hidden)
    pair = _pair(g, text_logits(g, frame.step(hidden)))
    best = g.op("ArgMax", pair, axis=1, keepdims=0)

    def choose(channel: int, logits: str) -> str:
        scores = _penalised(g, seen, channel, logits, penalty)
        return g.op("ArgMax", scores, axis=1, keepdims=0)

    _rest(frame, g.op("Equal", best, g.const(0)), choose)


def _rest(frame: _Frame, goes_on: str, choose: Callable[[int, str], str]) -> None:
    """All positions behind the first, and what the graph gives out."""
    g, spec = frame.g, frame.g.spec
    token = g.op("Where", goes_on, g.const(GOES_ON), g.const(STOPS))
    row = embedded_text(g, token)
    codes = []
    for channel in range(spec.codebooks):
        code = choose(channel, audio_logits(g, channel, frame.step(row)))
        codes.append(g.op("Unsqueeze", code, g.const([1])))
        if channel + 1 < spec.codebooks:
            row = embedded_code(g, channel, code)
    told = g.op("Unsqueeze", g.op("Cast", goes_on, to=INT), g.const([1]))
    g.output("should_continue", told, INT, ["batch", 1])
    joined = g.op("Cast", g.op("Concat", *codes, axis=1), to=INT)
    g.output("frame_token_ids", joined, INT, ["batch", spec.codebooks])


def _pair(g: Graph, logits: str) -> str:
    """The two tokens that count, out of all: going on, stopping."""
    return g.op("Gather", logits, g.const([GOES_ON, STOPS]), axis=1)


def _penalised(g: Graph, seen: str, channel: int, logits: str, penalty: str | None = None) -> str:
    """What the row has said before weighs less."""
    penalty = penalty or g.const(REPETITION, np.float32)
    mine = g.op("Cast", g.op("Gather", seen, g.const(channel), axis=1), to=BOOL)
    low = g.op("Less", logits, g.const(0.0, np.float32))
    paid = g.op("Where", low, g.op("Mul", logits, penalty), g.op("Div", logits, penalty))
    return g.op("Where", mine, paid, logits)


def _drawn(g: Graph, logits: str, chance: str) -> str:
    """One of the best, by the chance [rows, 1]; the best stands first in its way."""
    heat = g.op("Div", logits, g.const(TEMPERATURE, np.float32))
    scores, ids = g.ops("TopK", 2, heat, g.const([TOP_K]), axis=-1, largest=1, sorted=1)
    shares = g.op("Softmax", scores, axis=-1)
    before = g.op("Sub", g.op("CumSum", shares, g.const(1)), shares)
    kept = g.op("Less", before, g.const(TOP_P, np.float32))
    scores = g.op("Where", kept, scores, g.const(LOWEST, np.float32))
    reached = g.op("CumSum", g.op("Softmax", scores, axis=-1), g.const(1))
    passed = g.op("Cast", g.op("Less", reached, chance), to=INT64)
    at = g.op("ReduceSum", passed, g.const([1]), keepdims=1)
    at = g.op("Clip", at, g.const(0), g.const(TOP_K - 1))
    return g.op("Squeeze", g.op("GatherElements", ids, at, axis=1), g.const([1]))


def _clamped(g: Graph, chance: str) -> str:
    return g.op("Clip", chance, g.const(0.0, np.float32), g.const(_MOST, np.float32))
