"""The codec: the graphs that turn a clip into codes, and codes into samples."""

from __future__ import annotations

import numpy as np

from tests.support.tiny_moss.block import as_int64
from tests.support.tiny_moss.graph import FLOAT, INT, Graph
from tests.support.tiny_moss.parameters import decoder, encoder
from tests.support.tiny_moss.quantiser import codes_of, latent_of
from tests.support.tiny_moss.spec import Codec
from tests.support.tiny_moss.stage import Kept, Transformer


def encode(g: Graph) -> None:
    """A clip that ends within a frame is filled up with silence; the codes that count are those of
    whole frames."""
    codec = g.spec.codec
    wave = g.input("waveform", FLOAT, ["batch", codec.channels, "samples"])
    lengths = g.input("input_lengths", INT, ["batch"])
    steps = _interleaved(g, codec, wave)
    for at in reversed(range(len(codec.stages))):
        stage = codec.stages[at]
        steps = Transformer(g, encoder(codec, at), stage).whole(steps)
        steps = _merged(g, steps, stage.patch, codec.latent)
    codes = g.op("Cast", codes_of(g, steps), to=INT)
    g.output("audio_codes", codes, INT, ["batch", "frames", g.spec.codebooks])
    frames = g.op("Div", lengths, g.const(codec.frame_samples, np.int32))
    g.output("audio_code_lengths", frames, INT, ["batch"])


def decode_full(g: Graph) -> None:
    """All frames at once."""
    steps = _code_input(g, "batch")
    for transformer in _decoder(g):
        steps = transformer.whole(_apart(g, steps, transformer.stage.patch))
    _audio_output(g, g.spec.codec, steps, "batch")


def decode_step(g: Graph) -> None:
    """One stream; what it has to know of the past goes in and comes out."""
    codec = g.spec.codec
    steps = _code_input(g, 1)
    offsets = [g.input(f"transformer_offset_{at}", INT, [1]) for at in range(len(codec.stages))]
    past = [_kept_input(g, codec, at, context) for at, context in enumerate(contexts(codec))]
    new_offsets, present = [], list[Kept]()
    for offset, transformer in zip(offsets, _decoder(g), strict=True):
        steps = _apart(g, steps, transformer.stage.patch)
        count = g.op("Gather", g.op("Shape", steps), g.const([1]), axis=0)
        mine = past[len(present) :][: transformer.stage.layers]
        steps, moved = transformer.continued(steps, mine)
        new_offsets.append(g.op("Add", offset, g.op("Cast", count, to=INT)))
        present += moved
    _audio_output(g, codec, steps, 1)
    for at, offset in enumerate(new_offsets):
        g.output(f"transformer_offset_out_{at}", offset, INT, [1])
    for at, (kept, context) in enumerate(zip(present, contexts(codec), strict=True)):
        _kept_output(g, codec, at, context, kept)


def contexts(codec: Codec) -> list[int]:
    """Of each attention of the decoder, first to last."""
    return [stage.context for stage in codec.stages for _ in range(stage.layers)]


def _decoder(g: Graph) -> list[Transformer]:
    return [Transformer(g, decoder(at), stage) for at, stage in enumerate(g.spec.codec.stages)]


def _code_input(g: Graph, batch: int | str) -> str:
    codes = g.input("audio_codes", INT, [batch, "frames", g.spec.codebooks])
    g.input("audio_code_lengths", INT, [batch])
    return latent_of(g, as_int64(g, codes))


def _audio_output(g: Graph, codec: Codec, steps: str, batch: int | str) -> None:
    g.inside("")
    pairs = g.op("Reshape", steps, g.const([0, -1, codec.channels]))
    wave = g.op("Transpose", pairs, perm=[0, 2, 1])
    g.output("audio", wave, FLOAT, [batch, codec.channels, "samples"])
    lengths = g.op("Mul", "audio_code_lengths", g.const(codec.frame_samples, np.int32))
    g.output("audio_lengths", lengths, INT, [batch])


def _kept_input(g: Graph, codec: Codec, at: int, context: int) -> Kept:
    shape = [1, codec.heads, context, codec.head_width]
    return Kept(
        g.input(f"attn_offset_{at}", INT, [1]),
        g.input(f"attn_cached_keys_{at}", FLOAT, shape),
        g.input(f"attn_cached_values_{at}", FLOAT, shape),
        g.input(f"attn_cached_positions_{at}", INT, [1, context]),
    )


def _kept_output(g: Graph, codec: Codec, at: int, context: int, kept: Kept) -> None:
    shape = [1, codec.heads, context, codec.head_width]
    g.output(f"attn_offset_out_{at}", kept.offset, INT, [1])
    g.output(f"attn_cached_keys_out_{at}", kept.keys, FLOAT, shape)
    g.output(f"attn_cached_values_out_{at}", kept.values, FLOAT, shape)
    g.output(f"attn_cached_positions_out_{at}", kept.positions, INT, [1, context])


def _interleaved(g: Graph, codec: Codec, wave: str) -> str:
    """Samples of all channels in turn, whole frames of them, in patches."""
    samples = g.op("Gather", g.op("Shape", wave), g.const([2]), axis=0)
    frame = g.const([codec.frame_samples])
    missing = g.op("Mod", g.op("Sub", g.const([0]), samples), frame)
    pads = g.op("Concat", g.const([0, 0, 0, 0, 0]), missing, axis=0)
    whole = g.op("Transpose", g.op("Pad", wave, pads), perm=[0, 2, 1])
    return g.op("Reshape", whole, g.const([0, -1, codec.last_patch]))


def _merged(g: Graph, steps: str, patch: int, width: int) -> str:
    """So many steps become one, `width` wide; parts of one channel stay together."""
    steps = g.op("Reshape", steps, g.const([0, -1, patch, width // patch]))
    steps = g.op("Transpose", steps, perm=[0, 1, 3, 2])
    return g.op("Reshape", steps, g.const([0, 0, width]))


def _apart(g: Graph, steps: str, patch: int) -> str:
    """One step becomes so many."""
    g.inside("")
    width = g.spec.codec.latent // patch
    steps = g.op("Reshape", steps, g.const([0, 0, width, patch]))
    steps = g.op("Transpose", steps, perm=[0, 1, 3, 2])
    return g.op("Reshape", steps, g.const([0, -1, width]))
