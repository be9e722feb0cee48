"""The writer of model directories keeps the contract, to the names and sizes of the real export."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import sentencepiece

from tests.providers.moss.conftest import MossDirectory
from tests.providers.moss.shipped import Shipped
from tests.support.tiny_moss import CODEC_FOLDER, FULL, STYLES, TINY, TTS_FOLDER, write
from tests.support.tiny_moss.files import tts_files
from tests.support.tiny_moss.metadata import codec_meta, tts_meta, write_json
from tests.support.tiny_moss.parameters import parameters

REAL_METADATA = {
    "tts": (4487, "3edf25232dcd0af3d061c837e9a968a39e2f8592e06777d740503c4f2244f95c"),
    "codec": (17036, "3e291c883bb7d11ff2fe8e964e3e495519760358859f35c951254c7741592731"),
}
"""Bytes and sha256 of the published files."""
REAL_BYTES = {
    "moss_tts_global_shared.data": 440_813_568,
    "moss_tts_local_shared.data": 229_678_080,
    "moss_audio_tokenizer_decode_shared.data": 44_198_912,
}


@pytest.fixture(scope="session", params=STYLES)
def styled(request: pytest.FixtureRequest, moss_directory: MossDirectory) -> Path:
    return moss_directory(style=STYLES[request.param])


def graphs(directory: Path) -> list[Path]:
    found = sorted(directory.glob("*/*.onnx"))
    assert len(found) == 8
    return found


def test_metadata_of_full_size_are_the_published_files_byte_by_byte(tmp_path: Path) -> None:
    for name, content in (("tts", tts_meta(FULL)), ("codec", codec_meta(FULL))):
        write_json(tmp_path / name, content)
        body = (tmp_path / name).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == REAL_METADATA[name]


def test_parameters_of_full_size_fill_the_published_data_files() -> None:
    floats = {name: int(np.prod(random.shape)) for name, random in parameters(FULL).items()}

    def bytes_of(*starts: str) -> int:
        return 4 * sum(count for name, count in floats.items() if name.startswith(starts))

    # All norms of the language model have zeros for biases, which are stored once.
    zeros, norms = 4 * FULL.hidden, 2 * FULL.layers + 1
    tables = bytes_of("transformer.wte", "audio_embeddings")
    blocks = bytes_of("transformer.h", "transformer.ln_f") - (norms - 1) * zeros
    local = bytes_of("local_transformer") - 2 * zeros
    unused = bytes_of("quantizer.input_proj") + sum(
        4 * count for name, count in floats.items() if ".in_proj." in name and "quantizers" in name
    )
    assert tables + blocks == REAL_BYTES["moss_tts_global_shared.data"]
    assert 2 * tables + local == REAL_BYTES["moss_tts_local_shared.data"]  # heads are transposed
    decoder = bytes_of("decoder.", "quantizer.") - unused
    assert decoder == REAL_BYTES["moss_audio_tokenizer_decode_shared.data"]


def test_every_graph_passes_the_checker_with_its_types(styled: Path) -> None:
    for path in graphs(styled):
        onnx.checker.check_model(path, full_check=True)


def test_inputs_and_outputs_have_the_names_of_the_metadata_in_their_order(styled: Path) -> None:
    shipped = Shipped(styled)
    told, codec = shipped.tts_meta["onnx"], shipped.codec_meta["onnx"]
    expected = {
        shipped.paths["prefill"]: (["input_ids", "attention_mask"], told["prefill_output_names"]),
        shipped.codec_paths["encode"]: (codec["encode_input_names"], codec["encode_output_names"]),
        shipped.codec_paths["decode_full"]: (
            codec["decode_input_names"],
            codec["decode_output_names"],
        ),
    }
    for key, stem in (
        ("decode_step", "decode"),
        ("local_cached_step", "local_cached"),
        ("local_fixed_sampled_frame", "local_fixed_sampled_frame"),
    ):
        names = told[f"{stem}_input_names"], told[f"{stem}_output_names"]
        expected[shipped.paths[key]] = names
    step = codec["decode_step_input_names"], codec["decode_step_output_names"]
    expected[shipped.codec_paths["decode_step"]] = step

    for path, names in expected.items():
        graph = onnx.load(path, load_external_data=False).graph
        assert ([i.name for i in graph.input], [o.name for o in graph.output]) == names


def test_metadata_names_the_files_that_are_there(tiny_moss: Path) -> None:
    for folder, name in ((TTS_FOLDER, "tts_browser"), (CODEC_FOLDER, "codec_browser")):
        meta = json.loads((tiny_moss / folder / f"{name}_onnx_meta.json").read_bytes())
        there = {path.name for path in (tiny_moss / folder).iterdir()}
        assert set(meta["files"].values()) == {name for name in there if name.endswith(".onnx")}
        data = {data for files in meta["external_data_files"].values() for data in files}
        assert data == {name for name in there if name.endswith(".data")}


def test_graphs_share_the_tensors_that_are_equal(tiny_moss: Path) -> None:
    shipped = Shipped(tiny_moss)

    def places(key: str) -> dict[int, tuple[int, ...]]:
        graph = onnx.load(shipped.paths[key], load_external_data=False).graph
        return {
            int(next(entry.value for entry in tensor.external_data if entry.key == "offset")): (
                tuple(tensor.dims)
            )
            for tensor in graph.initializer
        }

    assert places("prefill") == places("decode_step")
    cached, fixed = places("local_cached_step"), places("local_fixed_sampled_frame")
    assert fixed == places("local_decoder")
    assert set(fixed) < set(cached)
    assert len(cached) - len(fixed) == 1  # the last channel's table, which no frame embeds


def test_named_parameters_and_nameless_matrices_stand_as_in_the_real_export(
    tiny_moss: Path,
) -> None:
    graph = onnx.load(Shipped(tiny_moss).paths["prefill"], load_external_data=False).graph
    makers = {output: node for node in graph.node for output in node.output}
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}

    for layer in range(TINY.layers):
        for name in ("attn.c_attn", "attn.c_proj", "mlp.fc_in", "mlp.fc_out"):
            bias = f"transformer.h.{layer}.{name}.bias"
            (add,) = [node for node in graph.node if bias in node.input]
            (product,) = [makers[value] for value in add.input if value in makers]
            assert (add.op_type, product.op_type) == ("Add", "MatMul")
            assert product.input[1].startswith("onnx::MatMul_")
            assert shapes[product.input[1]][1] == shapes[bias][0]
    zeros = [name for name in shapes if name.endswith(("ln_1.bias", "ln_2.bias", "ln_f.bias"))]
    assert len(zeros) == 1  # the others come out of Identity nodes
    assert makers["transformer.ln_f.bias"].op_type == "Identity"


def test_the_graph_of_fixed_frames_looks_at_the_best_25(tiny_moss: Path) -> None:
    path = Shipped(tiny_moss).paths["local_fixed_sampled_frame"]
    kinds = [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]

    each = {kind: kinds.count(kind) / TINY.codebooks for kind in ("TopK", "CumSum", "Div", "Sub")}
    assert each == {"TopK": 1, "CumSum": 2, "Div": 2, "Sub": 1}
    assert (
        kinds.count("Softmax") == 3 * TINY.codebooks + 2
    )  # 50 of 16 codebooks, as in the real one
    assert kinds.count("Clip") == 2 * TINY.codebooks + 1


def test_the_tokenizer_begins_with_the_special_ids(tiny_moss: Path) -> None:
    model = str(tiny_moss / TTS_FOLDER / "tokenizer.model")
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=model)

    first = [tokenizer.id_to_piece(id) for id in range(15)]
    assert first[:4] == ["<unk>", "<s>", "</s>", "<pad>"]
    assert first[6:10] == ["<|audio_start|>", "<|audio_end|>", "<|vision_pad|>", "<|video_pad|>"]
    assert first[13:] == ["<user_inst>", "</user_inst>"]
    assert tokenizer.vocab_size() <= TINY.vocabulary
    assert tokenizer.encode("a\nb") == tokenizer.encode("a b")
    assert tokenizer.decode(tokenizer.encode("Привет, 世界 🎈")) == "Привет, 世界 🎈"


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    def bodies(name: str, seed: int) -> dict[str, bytes]:
        folder = write(tmp_path / name, seed=seed)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/*")}

    one, again, other = bodies("one", 1), bodies("again", 1), bodies("other", 2)
    assert one == again
    changed = {name for name in one if one[name] != other[name]}
    assert changed == {
        *(name for name in one if name.endswith(".data")),
        f"{TTS_FOLDER}/browser_poc_manifest.json",  # the voices' codes
    }


@pytest.mark.parametrize("margin", [1.0, 4.0, 20.0])
def test_the_stop_margin_is_about_what_going_on_has_over_stopping(
    moss_directory: MossDirectory, margin: float
) -> None:
    spec = msgspec.structs.replace(TINY, stop_margin=margin)
    shipped = Shipped(moss_directory(spec=spec))
    chance = np.random.default_rng(0)
    over = []
    for _ in range(50):
        out = shipped.run(
            "local_decoder",
            global_hidden=chance.standard_normal((1, spec.hidden), dtype=np.float32),
            text_token_id=np.array([9], np.int32),
            audio_prefix_token_ids=np.zeros((1, spec.codebooks - 1), np.int32),
        )
        over.append(out["text_logits"][0, 9] - out["text_logits"][0, 7])

    assert 0.7 * margin < np.mean(over) < 1.3 * margin
    assert np.std(over) < 0.3 * margin


def test_speech_of_random_weights_varies_and_stays_in_range(tiny_moss: Path) -> None:
    shipped, chance = Shipped(tiny_moss), np.random.default_rng(0)
    rows, shape = 64, (TINY.codebooks, TINY.codebook_size)

    out = shipped.run(
        "local_fixed_sampled_frame",
        global_hidden=chance.standard_normal((rows, TINY.hidden), dtype=np.float32),
        repetition_seen_mask=np.zeros((rows, *shape), np.int32),
        assistant_random_u=np.full(rows, 0.5, np.float32),
        audio_random_u=chance.random((rows, TINY.codebooks), dtype=np.float32),
    )
    codes = out["frame_token_ids"]
    lengths = np.array([rows], np.int32)
    audio = shipped.run_codec("decode_full", audio_codes=codes[None], audio_code_lengths=lengths)[
        "audio"
    ]

    assert all(len(set(column)) > 10 for column in codes.T.tolist())
    assert 0.02 < audio.std() < 0.2
    assert np.abs(audio).max() < 1


def test_the_command_writes_a_directory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.tiny_moss", str(tmp_path / "new")]

    done = subprocess.run([*command, "--stop-margin", "3"], check=True, capture_output=True)

    assert done.stdout.decode().strip() == str(tmp_path / "new")
    assert len(graphs(tmp_path / "new")) == 8


def test_a_graph_for_greedy_frames_is_there_when_it_is_asked_for(
    moss_directory: MossDirectory,
) -> None:
    spec = msgspec.structs.replace(TINY, greedy_frame=True)

    shipped = Shipped(moss_directory(spec=spec))

    assert set(shipped.paths) - set(tts_files(TINY)) == {"local_greedy_frame"}
    assert shipped.paths["local_greedy_frame"].is_file()
