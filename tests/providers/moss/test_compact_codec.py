"""The compact codec against the shipped one, in any style in which that may be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from providers.moss_tts_nano.compact import store
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.compact.decoder import CALL_FRAMES, RingState
from providers.moss_tts_nano.compact.shipped import CannotRebuild
from providers.moss_tts_nano.layout import find
from providers.moss_tts_nano.parts import Decoder, Floats, Ints
from tests.providers.moss.compacted import compacted
from tests.providers.moss.tiny import Tiny
from tests.support.tiny_moss import CODEC_FOLDER, STYLES, write

NEAR = 1e-5
FRAMES = 60
"""Longer than the longest window, of 20 steps, five frames."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def compact(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Compact:
    return compacted(tiny, tmp_path_factory.mktemp("cache"))


def played(decoder: Decoder, codes: Ints, *sizes: int) -> Floats:
    """In pieces of these sizes, over and over."""
    state, sound, at, turn = decoder.start(), [], 0, 0
    while at < len(codes):
        size = sizes[turn % len(sizes)]
        sound.append(decoder.decode(state, codes[at : at + size]))
        at, turn = at + size, turn + 1
    return np.concatenate(sound, axis=1)


@pytest.mark.parametrize("sizes", [(1,), (3,), (8,), (FRAMES,), (1, 2, 4, 8), (17, 1)])
def test_codes_sound_the_same_in_pieces_of_any_size(
    tiny: Tiny, compact: Compact, sizes: tuple[int, ...]
) -> None:
    codes = tiny.codes(FRAMES)
    expected = tiny.reference.full_decoder().decode(codes)
    sound = played(compact.decoder(), codes, *sizes)
    assert sound.shape == expected.shape
    assert np.abs(sound - expected).max() < NEAR


def test_what_a_stream_looks_at_grows_with_it_until_the_window_is_full(
    tiny: Tiny, compact: Compact
) -> None:
    codes, decoder = tiny.codes(FRAMES), compact.decoder()
    state = decoder.start()
    assert isinstance(state, RingState)
    seen = []
    for frame in range(FRAMES):
        decoder.decode(state, codes[frame : frame + 1])
        seen.append(np.array(state.rooms))
    contexts = [spec.context for spec in tiny.layout.codec.streaming_decode.attention_caches]
    calls = CALL_FRAMES * seen[0]
    assert np.array_equal(seen[1], 2 * seen[0])
    assert np.array_equal(seen[-1], np.repeat(contexts, 2) + calls)


def test_streams_do_not_hear_each_other(tiny: Tiny, compact: Compact) -> None:
    decoder = compact.decoder()
    codes = [tiny.codes(20, seed) for seed in range(3)]
    expected = [played(decoder, each, 4) for each in codes]
    states = [decoder.start() for _ in codes]
    sounds: list[list[Floats]] = [[], [], []]
    for at in range(0, 20, 4):
        for stream in range(3):
            piece = codes[stream][at : at + 4]
            sounds[stream].append(decoder.decode(states[stream], piece))
    for sound, right in zip(sounds, expected, strict=True):
        assert np.array_equal(np.concatenate(sound, axis=1), right)


@pytest.mark.parametrize("frames", [0, 1, 7, 64])
def test_clips_have_the_codes_of_the_shipped_encoder(
    tiny: Tiny, compact: Compact, frames: int
) -> None:
    length = frames * tiny.shape.frame_samples + 100
    clip = np.random.default_rng(1).standard_normal((2, length)).astype(np.float32) * 0.1
    codes = compact.encoder().encode(clip)
    assert codes.shape == (frames, tiny.shape.codebooks)
    if frames:
        assert np.array_equal(codes, tiny.reference.encoder().encode(clip))


@pytest.mark.parametrize("style", STYLES)
def test_the_codec_is_understood_however_it_is_written(
    tiny: Tiny, tmp_path: Path, style: str
) -> None:
    layout = find(write(tmp_path / "model", style=STYLES[style]))
    compact = Compact(layout, store.make(layout, tmp_path / "cache", "exact"), threads=1)
    codes = tiny.codes(FRAMES)
    expected = tiny.reference.full_decoder().decode(codes)
    assert np.abs(played(compact.decoder(), codes, 7) - expected).max() < NEAR
    clip = np.clip(expected, -1, 1)
    assert np.array_equal(compact.encoder().encode(clip), tiny.reference.encoder().encode(clip))


def scaled_by_shape(path: Path) -> None:
    """As an exporter writes it: queries and keys each by the root of the scale, which is reckoned
    from the shape of the queries while the graph runs."""
    model = onnx.load(str(path), load_external_data=False)
    made = {name: node for node in model.graph.node for name in node.output}
    for softmax in [node for node in model.graph.node if node.op_type == "Softmax"]:
        scaled = made[made[softmax.input[0]].input[1]]
        product = made[scaled.input[0]]
        stem = product.output[0]
        names = [f"{stem}/{step}" for step in ("shape", "width", "float", "root", "scale", "half")]
        axis, one = f"{stem}/axis", f"{stem}/one"
        model.graph.initializer.append(numpy_helper.from_array(np.array(3), axis))
        model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), one))
        nodes = [
            helper.make_node("Shape", [product.input[0]], names[:1]),
            helper.make_node("Gather", [names[0], axis], names[1:2]),
            helper.make_node("Cast", names[1:2], names[2:3], to=onnx.TensorProto.FLOAT),
            helper.make_node("Sqrt", names[2:3], names[3:4]),
            helper.make_node("Div", [one, names[3]], names[4:5]),
            helper.make_node("Sqrt", names[4:5], names[5:6]),
            helper.make_node("Mul", [product.input[0], names[5]], [f"{stem}/q"]),
            helper.make_node("Mul", [product.input[1], names[5]], [f"{stem}/k"]),
            helper.make_node("MatMul", [f"{stem}/q", f"{stem}/k"], list(scaled.output)),
        ]
        at = list(model.graph.node).index(product)
        model.graph.node.remove(product)
        model.graph.node.remove(scaled)
        for node in reversed(nodes):
            model.graph.node.insert(at, node)
    path.write_bytes(model.SerializeToString())


def test_a_scale_that_is_reckoned_from_shapes_is_understood(tiny: Tiny, tmp_path: Path) -> None:
    layout = find(write(tmp_path / "model"))
    scaled_by_shape(layout.codec_graphs["decode_step"])
    scaled_by_shape(layout.codec_graphs["encode"])
    compact = Compact(layout, store.make(layout, tmp_path / "cache", "exact"), threads=1)
    codes = tiny.codes(FRAMES)
    expected = tiny.reference.full_decoder().decode(codes)
    assert np.abs(played(compact.decoder(), codes, 7) - expected).max() < NEAR
    clip = np.clip(expected, -1, 1)
    assert np.array_equal(compact.encoder().encode(clip), tiny.reference.encoder().encode(clip))


def mangled(path: Path, kind: str, other: str) -> None:
    model = onnx.load(str(path), load_external_data=False)
    for node in model.graph.node:
        if node.op_type == kind:
            node.op_type = other
    path.write_bytes(model.SerializeToString())


def test_a_graph_that_is_not_understood_is_refused_and_the_other_parts_are_built(
    tiny: Tiny, tmp_path: Path
) -> None:
    layout = find(write(tmp_path / "model"))
    mangled(
        tmp_path / "model" / CODEC_FOLDER / "moss_audio_tokenizer_decode_step.onnx",
        "Softmax",
        "Hardmax",
    )
    built = store.make(layout, tmp_path / "cache", "exact")
    compact = Compact(layout, built, threads=1)
    assert built.refused.keys() == {"decoder"}
    with pytest.raises(CannotRebuild, match="attentions"):
        compact.decoder()
    clip = np.zeros((2, 10 * tiny.shape.frame_samples), np.float32)
    assert np.array_equal(compact.encoder().encode(clip), tiny.reference.encoder().encode(clip))


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    layout = find(write(tmp_path / "model"))
    layout.codec_graphs["encode"].write_bytes(b"not a graph")
    built = store.make(layout, tmp_path / "cache", "exact")
    assert "cannot be read" in built.refused["encoder"]
