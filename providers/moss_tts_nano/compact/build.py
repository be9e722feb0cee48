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
from providers.moss_tts_nano.compact.alone import write_alone
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
_KNOWN = "known.f32"
_STORES: Mapping[Precision, quantise.Store] = {
    "exact": quantise.exact,
    "int8": quantise.eight_bit_rows,
    "int8-blocks": quantise.eight_bit_blocks,
}


def graph_file(part: Part) -> str:
    return f"{part}.onnx"


def alone_file(part: Part) -> str:
    """The graph for one row; there is one where rows are rounded."""
    return f"{part}-alone.onnx"


def build(layout: Layout, folder: Path, precision: Precision) -> dict[Part, str]:
    """Write every part into a folder, which is there and empty. Blocking, for seconds.

    Gives the parts that cannot be built, each with the reason.

    Raises: OSError
    """
    makers: dict[Part, Callable[[], None]] = {
        "language_model": lambda: _language_model(layout, folder, precision),
        "frames": lambda: _frames(layout, folder, precision),
        "decoder": lambda: _decoder(layout, folder),
        "encoder": lambda: _encoder(layout, folder),
    }
    refused: dict[Part, str] = {}
    for part, make in makers.items():
        try:
            make()
        except CannotRebuild as error:
            refused[part] = error.reason
        except (OSError, MemoryError):
            raise
        except Exception as error:  # an odd graph can trip any assumption: it is not understood
            refused[part] = f"its graph is of an unknown kind ({type(error).__name__})."
    return refused


def _language_model(layout: Layout, folder: Path, precision: Precision) -> None:
    """The graph is run by several sessions, so it is packed, which takes as much disk again."""
    shipped = layout.graphs["decode_step"]
    found = tables(shipped, layout.shape.codebooks)
    embedding.write_table(folder / TABLES, found)
    blocks = transformer(shipped)
    heads = layout.tts.model_config.global_heads
    _check(blocks, layout.shape.hidden, layout.tts.model_config.global_layers)
    path = folder / graph_file("language_model")
    plain = path.with_stem(f"{path.stem}-plain")
    with Graph(plain) as graph:
        global_graph.write(graph, blocks, heads, _STORES[precision])
        graph.save()
    is_packed = pack(plain, path, global_graph.probe)
    if is_packed and precision == "int8":
        write_alone(path, folder / alone_file("language_model"))


def _frames(layout: Layout, folder: Path, precision: Precision) -> None:
    shipped = layout.graphs.get("local_fixed_sampled_frame")
    if shipped is None:
        raise CannotRebuild("the model has no graph for sampled frames.")
    found = tables(layout.graphs["decode_step"], layout.shape.codebooks)
    table = folder / TABLES
    if not table.exists():
        embedding.write_table(table, found)
    blocks = transformer(shipped)
    _check(blocks, layout.shape.hidden, layout.tts.model_config.local_layers)
    local = local_graph.Local(
        transformer=blocks,
        tables=found,
        table_file=table.name,
        known_file=_KNOWN,
        shape=layout.shape,
        heads=layout.tts.model_config.local_heads,
        sampling=sampling(layout),
    )
    local_graph.write_known(folder / _KNOWN, local)
    with Graph(folder / graph_file("frames")) as graph:
        local_graph.write(graph, local, _STORES[precision])
        graph.save()
    if precision == "int8":
        with Graph(folder / alone_file("frames")) as graph:
            eight_bits = quantise.eight_bit_alone
            local_graph.write(graph, local, eight_bits, rough=eight_bits)
            graph.save()


def _decoder(layout: Layout, folder: Path) -> None:
    with Graph(folder / graph_file("decoder")) as graph:
        codec_graph.write(graph, layout.codec_graphs["decode_step"], layout.codec)
        graph.save()


def _encoder(layout: Layout, folder: Path) -> None:
    with Graph(folder / graph_file("encoder")) as graph:
        encoder_graph.write(graph, layout.codec_graphs["encode"], layout.codec)
        graph.save()


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
