"""Sessions: nothing is loaded before it is needed, and what cannot be loaded is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.sessions import CannotLoad, Graph, open_session
from tests.providers.moss.tiny import TOKENS, Tiny
from tests.support.tiny_moss import CODEC_FOLDER, TTS_FOLDER

PREFILL = "moss_tts_prefill.onnx"
WEIGHTS = "moss_tts_global_shared.data"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path / "model")


def folder(tiny: Tiny) -> Path:
    return tiny.layout.folder


def test_only_graphs_that_are_run_are_loaded(tiny: Tiny) -> None:
    reference = tiny.reference
    reference.encoder()
    reference.full_decoder()
    shutil.rmtree(tiny.layout.codec_folder)  # nobody has looked there yet
    rows = Prompt(tiny.layout.manifest).whole(tiny.voice(), TOKENS)
    seat, _ = reference.language_model(1, 100).join(rows)
    assert seat.length == len(rows)
    with pytest.raises(CannotLoad, match="encode"):
        reference.encoder().encode(np.zeros((2, 3840), np.float32))


def test_a_missing_graph_is_named(tiny: Tiny) -> None:
    (folder(tiny) / PREFILL).unlink()
    with pytest.raises(CannotLoad, match=PREFILL):
        open_session(folder(tiny) / PREFILL, 1)


def test_missing_weights_are_told_with_the_graph_that_wants_them(tiny: Tiny) -> None:
    (folder(tiny) / WEIGHTS).unlink()
    with pytest.raises(CannotLoad, match=PREFILL) as caught:
        open_session(folder(tiny) / PREFILL, 1)
    assert WEIGHTS in caught.value.message


def test_cut_weights_cannot_be_loaded(tiny: Tiny) -> None:
    path = folder(tiny) / WEIGHTS
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CannotLoad, match=PREFILL):
        open_session(folder(tiny) / PREFILL, 1)


def test_a_damaged_graph_cannot_be_loaded(tiny: Tiny) -> None:
    (folder(tiny) / PREFILL).write_bytes(b"\x00 no graph")
    with pytest.raises(CannotLoad, match=PREFILL):
        open_session(folder(tiny) / PREFILL, 1)


def test_a_graph_is_loaded_once_and_again_after_its_memory_was_given_back(tiny: Tiny) -> None:
    graph = Graph(folder(tiny) / PREFILL, 1)
    assert not graph.is_loaded
    session = graph.load()
    assert graph.load() is session
    graph.unload()
    assert not graph.is_loaded
    assert graph.load() is not session


def test_links_of_a_hub_s_cache_are_followed(tiny: Tiny, tmp_path: Path) -> None:
    for name in (TTS_FOLDER, CODEC_FOLDER):
        blobs, snapshot = tmp_path / "cache" / name / "blobs", tmp_path / "cache" / name / "snap"
        shutil.copytree(tmp_path / "model" / name, blobs)
        snapshot.mkdir()
        for number, blob in enumerate(sorted(blobs.iterdir())):
            blob.rename(blobs / f"{number:064x}")
            (snapshot / blob.name).symlink_to(Path("../blobs") / f"{number:064x}")
        graphs = [path for path in snapshot.iterdir() if path.suffix == ".onnx"]
        assert graphs
        for path in graphs:
            open_session(path, 1)


def test_threads_do_not_spin(tiny: Tiny) -> None:
    options = open_session(folder(tiny) / PREFILL, 3).get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.intra_op_num_threads == 3
