"""The local transformer: the graphs that give logits, without a cache or with one."""

from __future__ import annotations

import numpy as np

from tests.support.tiny_moss.block import Blocks, Cache, as_int64, step_visible
from tests.support.tiny_moss.graph import FLOAT, INT, Dims, Graph
from tests.support.tiny_moss.language_model import embedded_code, embedded_text
from tests.support.tiny_moss.parameters import TEXT_HEAD, audio_head


def decoder(g: Graph) -> None:
    """All positions of a frame at once, one row."""
    spec = g.spec
    hidden = g.input("global_hidden", FLOAT, [1, spec.hidden])
    text = as_int64(g, g.input("text_token_id", INT, [1]))
    prefix = g.input("audio_prefix_token_ids", INT, [1, spec.codebooks - 1])
    inputs = [hidden, embedded_text(g, text)]
    for channel in range(spec.codebooks - 1):
        code = g.op("Gather", as_int64(g, prefix), g.const(channel), axis=1)
        inputs.append(embedded_code(g, channel, code))
    steps = len(inputs)
    blocks = Blocks(g, "local_transformer")
    rows = g.op("Concat", *(g.op("Unsqueeze", row, g.const([1])) for row in inputs), axis=1)
    rotation = blocks.rotation(g.const([list(range(steps))]))
    visible = g.const(np.tril(np.ones((1, 1, steps, steps), np.bool_)), np.bool_)
    out, _ = blocks.block(0, rows, rotation, visible)
    out = blocks.norm("ln_f", out)
    at = [g.op("Gather", out, g.const(step), axis=1) for step in range(steps)]
    _logits(g, at[0], at[1:], batch=1)


def cached_step(g: Graph) -> None:
    """One position of a frame, with the logits of every head."""
    spec = g.spec
    hidden = g.input("global_hidden", FLOAT, ["batch", spec.hidden])
    text, code, channel, kind, valid = (
        as_int64(g, g.input(name, INT, ["batch"]))
        for name in (
            "text_token_id",
            "audio_token_id",
            "channel_index",
            "step_type",
            "past_valid_lengths",
        )
    )
    shape: Dims = ["batch", "local_past_seq", spec.heads, spec.head_width]
    past = Cache(*(g.input(f"local_past_{what}_0", FLOAT, shape) for what in ("key", "value")))
    blocks = Blocks(g, "local_transformer")
    row = _step_input(g, hidden, embedded_text(g, text), code, channel, kind)
    rotation = blocks.rotation(g.op("Unsqueeze", valid, g.const([1])))
    row = g.op("Unsqueeze", row, g.const([1]))
    out, present = blocks.block(0, row, rotation, step_visible(g, past, valid), past)
    out = g.op("Squeeze", blocks.norm("ln_f", out), g.const([1]))
    _logits(g, out, [out] * spec.codebooks, batch="batch")
    shape = ["batch", "local_total_seq", spec.heads, spec.head_width]
    g.output("local_present_key_0", present.keys, FLOAT, shape)
    g.output("local_present_value_0", present.values, FLOAT, shape)


def _step_input(g: Graph, hidden: str, text: str, code: str, channel: str, kind: str) -> str:
    """By the kind of step: 0 the hidden state, 1 the text token, 2 the code in its channel."""
    audio = embedded_code(g, 0, code)
    for at in range(1, g.spec.codebooks):
        mine = g.op("Unsqueeze", g.op("Equal", channel, g.const(at)), g.const([-1]))
        audio = g.op("Where", mine, embedded_code(g, at, code), audio)
    is_text, is_audio = (
        g.op("Unsqueeze", g.op("Equal", kind, g.const(which)), g.const([-1])) for which in (1, 2)
    )
    return g.op("Where", is_audio, audio, g.op("Where", is_text, text, hidden))


def text_logits(g: Graph, hidden: str) -> str:
    """`hidden` [rows, hidden]"""
    g.inside(TEXT_HEAD)
    return g.op("MatMul", hidden, g.matrix(TEXT_HEAD))


def audio_logits(g: Graph, channel: int, hidden: str) -> str:
    g.inside(audio_head(channel))
    return g.op("MatMul", hidden, g.matrix(audio_head(channel)))


def _logits(g: Graph, text: str, audio: list[str], batch: int | str) -> None:
    spec = g.spec
    g.output("text_logits", text_logits(g, text), FLOAT, [batch, spec.vocabulary])
    each = [audio_logits(g, at, hidden) for at, hidden in enumerate(audio)]
    joined = g.op("Concat", *(g.op("Unsqueeze", one, g.const([1])) for one in each), axis=1)
    g.output("audio_logits", joined, FLOAT, [batch, spec.codebooks, spec.codebook_size])
