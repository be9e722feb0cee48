"""Builds the compact graphs of a model directory, part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from providers.moss_tts_nano.compact import (
    codec_graph,
    embedding,
    encoder_graph,
    global_graph,
    local_graph,
    quantise,
)
from providers.moss_tts_nano.compact.emit import Graph
from providers.moss_tts_nano.compact.packing import pack
from providers.moss_tts_nano.compact.shipped import CannotRebuild
from providers.moss_tts_nano.compact.weights import Transformer, tables, transformer
from providers.moss_tts_nano.layout import Layout

Part = Literal["language_model", "frames", "decoder", "encoder"]
Precision = Literal["exact", "int8", "int8-blocks"]
"""Of the language model and the frames: float32; 8 bits, with a scale for each row of activations;
or with one for each 128 numbers of a row, which is slower, and bears with rows in which few numbers
are much larger than all others."""

TABLES = "tables.f32"
_STORES: Mapping[Precision, quantise.Store] = {
    "exact": quantise.exact,
    "int8": quantise.eight_bit_rows,
    "int8-blocks": quantise.eight_bit_blocks,
}


def graph_file(part: Part) -> str:
    return f"{part}.onnx"


def build(layout: Layout, folder: Path, precision: Precision) -> dict[Part, str]:
    """Write every part into a folder, which is there and empty. Blocking, for seconds.

    Gives the parts that cannot be built, each with the reason.

    Raises: OSError
    """
    makers: dict[Part, Callable[[Graph], None]] = {
        "language_model": lambda graph: _language_model(layout, graph, precision),
        "frames": lambda graph: _frames(layout, graph, precision),
        "decoder": lambda graph: codec_graph.write(
            graph, layout.codec_graphs["decode_step"], layout.codec
        ),
        "encoder": lambda graph: encoder_graph.write(
            graph, layout.codec_graphs["encode"], layout.codec
        ),
    }
    refused: dict[Part, str] = {}
    for part, make in makers.items():
        try:
            made = _packed if part == "language_model" else _made
            made(make, folder / graph_file(part))
        except CannotRebuild as error:
            refused[part] = error.reason
    return refused


def _made(make: Callable[[Graph], None], path: Path) -> None:
    try:
        with Graph(path) as graph:
            make(graph)
            graph.save()
    except (CannotRebuild, OSError, MemoryError):
        raise
    except Exception as error:  # an odd graph can trip any assumption: then it is not understood
        reason = f"its graph is of an unknown kind ({type(error).__name__})."
        raise CannotRebuild(reason) from error


def _packed(make: Callable[[Graph], None], path: Path) -> None:
    """For a graph that several sessions run; it takes as much disk again."""
    plain = path.with_stem(f"{path.stem}-plain")
    _made(make, plain)
    pack(plain, path, global_graph.probe)


def _language_model(layout: Layout, graph: Graph, precision: Precision) -> None:
    shipped = layout.graphs["decode_step"]
    found = tables(shipped, layout.shape.codebooks)
    embedding.write_table(graph.folder / TABLES, found)
    blocks = transformer(shipped)
    heads = layout.tts.model_config.global_heads
    _check(blocks, layout.shape.hidden, layout.tts.model_config.global_layers)
    global_graph.write(graph, blocks, heads, _STORES[precision])


def _frames(layout: Layout, graph: Graph, precision: Precision) -> None:
    shipped = layout.graphs.get("local_fixed_sampled_frame")
    if shipped is None:
        raise CannotRebuild("the model has no graph for sampled frames.")
    found = tables(layout.graphs["decode_step"], layout.shape.codebooks)
    table = graph.folder / TABLES
    if not table.exists():
        embedding.write_table(table, found)
    blocks = transformer(shipped)
    _check(blocks, layout.shape.hidden, layout.tts.model_config.local_layers)
    local = local_graph.Local(
        transformer=blocks,
        tables=found,
        table_file=table.name,
        shape=layout.shape,
        heads=layout.tts.model_config.local_heads,
        sampling=sampling(layout),
    )
    local_graph.write(graph, local, _STORES[precision])


def sampling(layout: Layout) -> local_graph.Sampling:
    """Raises: CannotRebuild"""
    said, tokens = layout.tts.onnx.fixed_sampled_frame_constants, layout.manifest.tts_config
    if said.get("text_temperature", 1) != 1 or said.get("text_top_p", 1) != 1:
        raise CannotRebuild("the end of a text is sampled in a way that is not known.")
    try:
        return local_graph.Sampling(
            go_on=tokens.audio_assistant_slot_token_id,
            stop=tokens.audio_end_token_id,
            temperature=said["audio_temperature"],
            top_k=int(said["audio_top_k"]),
            top_p=said["audio_top_p"],
            repetition_penalty=said["audio_repetition_penalty"],
        )
    except KeyError as error:
        raise CannotRebuild(f"the metadata does not tell {error}.") from error


def _check(found: Transformer, hidden: int, layers: int) -> None:
    widths = {block.joined.weight.shape for block in found.blocks}
    if len(found.blocks) != layers or widths != {(hidden, 3 * hidden)}:
        raise CannotRebuild("the blocks that were found are not those of the metadata.")
