"""A model directory, however it was laid down."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from providers.moss_tts_nano.layout import MANIFEST, BadAssets, Layout, find
from providers.moss_tts_nano.releases import CODEC, CODEC_FOLDERS, TTS_FOLDERS
from tests.support import tiny_moss

NEW_TTS, OLD_TTS = TTS_FOLDERS
NEW_CODEC, OLD_CODEC = CODEC_FOLDERS


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_moss.write(tmp_path_factory.mktemp("model"))


@pytest.fixture
def model(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(written, tmp_path / "model"))


def edited(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content), "utf-8")


def names(layout: Layout) -> set[str]:
    return {path.name for path in layout.files}


def test_everything_of_a_model_directory_is_found(model: Path) -> None:
    layout = find(model)
    assert layout.folder == model / NEW_TTS
    assert layout.codec_folder == model / NEW_CODEC
    assert layout.shape.codebooks == 4
    assert layout.shape.sample_rate == 48_000
    assert layout.tokenizer.is_file()
    assert set(layout.codec_graphs) == {"encode", "decode_full", "decode_step"}
    assert {"prefill", "decode_step", "local_fixed_sampled_frame"} <= set(layout.graphs)
    everything = {path.name for path in model.rglob("*") if path.is_file()}
    assert names(layout) == everything
    assert len(layout.codec.streaming_decode.attention_caches) == 4


def _as_it_is(model: Path) -> Path:
    return model


def _its_own_folder(model: Path) -> Path:
    return model / NEW_TTS


def _old_names(model: Path) -> Path:
    (model / NEW_TTS).rename(model / OLD_TTS)
    (model / NEW_CODEC).rename(model / OLD_CODEC)
    return model


def _old_name_in_the_manifest(model: Path) -> Path:
    def change(manifest: Any) -> None:
        manifest["model_files"]["codec_meta"] = f"../{OLD_CODEC}/codec_browser_onnx_meta.json"

    edited(model / NEW_TTS / MANIFEST, change)
    return model


def _one_too_deep(model: Path) -> Path:
    for name in (NEW_TTS, NEW_CODEC):
        (model / name).rename(model / "aside")
        (model / name).mkdir()
        (model / "aside").rename(model / name / name)
    return model


def _only_the_model_too_deep(model: Path) -> Path:
    (model / NEW_TTS).rename(model / "aside")
    (model / NEW_TTS).mkdir()
    (model / "aside").rename(model / NEW_TTS / NEW_TTS)
    return model / NEW_TTS


def _linked_folders(model: Path) -> Path:
    elsewhere = model.parent / "linked"
    elsewhere.mkdir()
    (elsewhere / NEW_TTS).symlink_to(model / NEW_TTS)
    (model / NEW_CODEC).rename(elsewhere / NEW_CODEC)
    return elsewhere


def _snapshots(model: Path) -> Path:
    for name, revision in ((NEW_TTS, "a" * 40), (NEW_CODEC, CODEC.revision)):
        place = model / f"models--OpenMOSS-Team--{name}" / "snapshots"
        place.mkdir(parents=True)
        (model / name).rename(place / revision)
    return model / f"models--OpenMOSS-Team--{NEW_TTS}" / "snapshots" / ("a" * 40)


@pytest.mark.parametrize(
    "laid",
    [
        _as_it_is,
        _its_own_folder,
        _old_names,
        _old_name_in_the_manifest,
        _one_too_deep,
        _only_the_model_too_deep,
        _linked_folders,
        _snapshots,
    ],
)
def test_it_is_found_however_it_was_laid_down(
    laid: Callable[[Path], Path], model: Path, written: Path
) -> None:
    layout = find(laid(model))
    assert names(layout) == names(find(written))
    assert all(path.is_file() for path in layout.files)


def test_unknown_keys_and_whole_numbers_for_fractions_are_fine(model: Path) -> None:
    def change(manifest: Any) -> None:
        manifest["new"] = {"key": [1]}
        manifest["tts_config"]["new"] = None
        manifest["generation_defaults"] |= {"audio_temperature": 1, "text_top_p": 1}
        del manifest["model_files"]["tokenizer_model"]

    edited(model / NEW_TTS / MANIFEST, change)
    layout = find(model)
    assert layout.manifest.generation_defaults.audio_temperature == 1.0
    assert layout.tokenizer.name == "tokenizer.model"


def test_windows_line_ends_and_a_missing_last_one_are_fine(model: Path) -> None:
    path = model / NEW_TTS / MANIFEST
    text = json.dumps(json.loads(path.read_bytes()), indent=2, ensure_ascii=False)
    path.write_bytes(text.replace("\n", "\r\n").encode())
    assert find(model).shape.codebooks == 4


@pytest.mark.parametrize(
    "name",
    [
        "tts_browser_onnx_meta.json",
        "tokenizer.model",
        "moss_tts_prefill.onnx",
        "moss_tts_global_shared.data",
        "moss_audio_tokenizer_encode.data",
        "moss_audio_tokenizer_decode_step.onnx",
        "codec_browser_onnx_meta.json",
    ],
)
def test_a_missing_file_is_named(name: str, model: Path) -> None:
    next(model.rglob(name)).unlink()
    with pytest.raises(BadAssets, match=name.replace(".", r"\.")):
        find(model)


def test_a_directory_without_a_model_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BadAssets, match="there is no folder"):
        find(tmp_path / "nowhere")
    with pytest.raises(BadAssets, match=f"{MANIFEST} is neither in it nor"):
        find(tmp_path)


def test_a_model_without_its_codec_says_where_it_belongs(model: Path) -> None:
    shutil.rmtree(model / NEW_CODEC)
    with pytest.raises(BadAssets, match=f"The folder {NEW_CODEC} belongs beside") as told:
        find(model)
    assert "\n" not in told.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"model_files": 3}'])
@pytest.mark.parametrize(
    "name", [MANIFEST, "tts_browser_onnx_meta.json", "codec_browser_onnx_meta.json"]
)
def test_a_malformed_file_is_one_clear_error(name: str, content: bytes, model: Path) -> None:
    next(model.rglob(name)).write_bytes(content)
    with pytest.raises(BadAssets, match=f"{name} is not as it should be"):
        find(model)


def _no_prefill(model: Path) -> None:
    edited(
        model / NEW_TTS / "tts_browser_onnx_meta.json", lambda meta: meta["files"].pop("prefill")
    )


def _no_frame_graph(model: Path) -> None:
    def change(meta: Any) -> None:
        meta["files"] = {k: v for k, v in meta["files"].items() if not k.startswith("local_")}

    edited(model / NEW_TTS / "tts_browser_onnx_meta.json", change)


def _other_codebooks(model: Path) -> None:
    def change(meta: Any) -> None:
        meta["codec_config"]["num_quantizers"] = 8

    edited(model / NEW_CODEC / "codec_browser_onnx_meta.json", change)


def _bad_codes(model: Path) -> None:
    def change(manifest: Any) -> None:
        manifest["builtin_voices"][1]["prompt_audio_codes"][0][0] = 99_999

    edited(model / NEW_TTS / MANIFEST, change)


def _bad_template(model: Path) -> None:
    def change(manifest: Any) -> None:
        manifest["prompt_templates"]["assistant_prompt_prefix_token_ids"] = ["a"]

    edited(model / NEW_TTS / MANIFEST, change)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_no_prefill, "names no file for: prefill"),
        (_no_frame_graph, "one of local_fixed_sampled_frame"),
        (_other_codebooks, "different numbers of codebooks"),
        (_bad_codes, "codes of the builtin voice"),
        (_bad_template, "assistant_prompt_prefix_token_ids"),
    ],
)
def test_metadata_that_cannot_be_right_is_told(
    spoil: Callable[[Path], None], told: str, model: Path
) -> None:
    spoil(model)
    with pytest.raises(BadAssets, match=told):
        find(model)


def test_codes_of_voices_are_in_no_repr(model: Path) -> None:
    voice = find(model).manifest.builtin_voices[0]
    assert str(voice.prompt_audio_codes[0][0]) not in repr(voice).replace(
        str(len(voice.prompt_audio_codes)), ""
    )
    assert isinstance(msgspec.json.encode(voice), bytes)
