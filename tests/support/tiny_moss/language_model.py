"""The global transformer: the graphs that read a prompt and append one row to it."""

from __future__ import annotations

from tests.support.tiny_moss.block import Blocks, Cache, as_int64, causal, step_visible
from tests.support.tiny_moss.graph import FLOAT, INT, Dims, Graph
from tests.support.tiny_moss.parameters import TEXT_TABLE, audio_table


def prefill(g: Graph) -> None:
    """Positions count valid rows; a row that is none is zero behind every block."""
    spec = g.spec
    rows = g.input("input_ids", INT, ["batch", "prefill_seq", spec.codebooks + 1])
    mask = as_int64(g, g.input("attention_mask", INT, ["batch", "prefill_seq"]))
    blocks = Blocks(g, "transformer")
    hidden = embedded(g, as_int64(g, rows))
    counted = g.op("Sub", g.op("CumSum", mask, g.const(1)), g.const(1))
    positions = g.op("Where", g.op("Equal", mask, g.const(1)), counted, g.const(0))
    rotation = blocks.rotation(positions)
    keep = g.op("Unsqueeze", g.op("Cast", mask, to=FLOAT), g.const([-1]))
    caches = []
    for index in range(spec.layers):
        hidden, cache = blocks.block(index, hidden, rotation, causal(g, mask))
        hidden = g.op("Mul", hidden, keep)
        caches.append(cache)
    _outputs(g, blocks.norm("ln_f", hidden), caches, "prefill_seq")


def decode_step(g: Graph) -> None:
    """One more row behind each of the past."""
    spec = g.spec
    rows = g.input("input_ids", INT, ["batch", "step_seq", spec.codebooks + 1])
    valid = as_int64(g, g.input("past_valid_lengths", INT, ["batch"]))
    shape: Dims = ["batch", "past_seq", spec.heads, spec.head_width]
    past = [
        Cache(g.input(f"past_key_{at}", FLOAT, shape), g.input(f"past_value_{at}", FLOAT, shape))
        for at in range(spec.layers)
    ]
    blocks = Blocks(g, "transformer")
    hidden = embedded(g, as_int64(g, rows))
    rotation = blocks.rotation(g.op("Unsqueeze", valid, g.const([1])))
    caches = []
    for index, known in enumerate(past):
        visible = step_visible(g, known, valid)
        hidden, cache = blocks.block(index, hidden, rotation, visible, known)
        caches.append(cache)
    _outputs(g, blocks.norm("ln_f", hidden), caches, "total_seq")


def embedded(g: Graph, rows: str) -> str:
    """The sum of a row's text token and its codes; padding adds nothing. `rows` int64."""
    hidden = embedded_text(g, g.op("Gather", rows, g.const(0), axis=2))
    for channel in range(g.spec.codebooks):
        codes = g.op("Gather", rows, g.const(channel + 1), axis=2)
        hidden = g.op("Add", hidden, embedded_code(g, channel, codes))
    return hidden


def embedded_text(g: Graph, tokens: str) -> str:
    g.inside(TEXT_TABLE)
    return g.op("Gather", g.parameter(TEXT_TABLE), tokens, axis=0)


def embedded_code(g: Graph, channel: int, codes: str) -> str:
    """Zero for padding; `codes` int64."""
    g.inside(audio_table(channel))
    table = g.parameter(audio_table(channel))
    padding = g.op("Equal", codes, g.const(g.spec.codebook_size))
    found = g.op("Gather", table, g.op("Where", padding, g.const(0), codes), axis=0)
    counts = g.op("Cast", g.op("Not", padding), to=FLOAT)
    return g.op("Mul", found, g.op("Unsqueeze", counts, g.const([-1])))


def _outputs(g: Graph, hidden: str, caches: list[Cache], steps: str) -> None:
    spec = g.spec
    queries = "prefill_seq" if steps == "prefill_seq" else "step_seq"
    g.output("global_hidden", hidden, FLOAT, ["batch", queries, spec.hidden])
    shape: Dims = ["batch", steps, spec.heads, spec.head_width]
    for at, cache in enumerate(caches):
        g.output(f"present_key_{at}", cache.keys, FLOAT, shape)
        g.output(f"present_value_{at}", cache.values, FLOAT, shape)
