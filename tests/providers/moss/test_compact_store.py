"""Built graphs stay on disk, whole or not at all."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from providers.moss_tts_nano.compact import store
from providers.moss_tts_nano.compact.compact import Compact
from providers.moss_tts_nano.layout import Layout, find
from tests.support.tiny_moss import STYLES, TTS_FOLDER, write


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return find(write(tmp_path / "model"))


def test_what_was_built_is_found_again(layout: Layout, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert store.find(layout, cache, "exact") is None
    built = store.make(layout, cache, "exact")
    assert store.find(layout, cache, "exact") == built
    assert store.find(layout, cache, "int8") is None


def test_other_files_have_graphs_of_their_own(layout: Layout, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    store.make(layout, cache, "exact")
    other = find(write(tmp_path / "other", seed=1))
    assert store.find(other, cache, "exact") is None
    manifest = tmp_path / "model" / TTS_FOLDER / "browser_poc_manifest.json"
    manifest.write_text(manifest.read_text("utf-8") + "\n", "utf-8")
    assert store.find(find(tmp_path / "model"), cache, "exact") is None


def test_what_was_packed_for_another_processor_is_not_used(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.make(layout, tmp_path / "cache", "exact")
    monkeypatch.setattr(store, "processor", lambda: "another")
    assert store.find(layout, tmp_path / "cache", "exact") is None


def test_nothing_half_built_stays(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> dict[str, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "build", fails)
    with pytest.raises(OSError, match="No space"):
        store.make(layout, tmp_path / "cache", "exact")
    assert list((tmp_path / "cache").iterdir()) == []
    assert store.find(layout, tmp_path / "cache", "exact") is None


@pytest.mark.parametrize("file", ["built.json", "language_model.data", "decoder.onnx"])
def test_a_folder_that_is_damaged_is_not_used_but_built_anew(
    layout: Layout, tmp_path: Path, file: str
) -> None:
    built = store.make(layout, tmp_path / "cache", "exact")
    (built.folder / file).write_bytes(b"{")
    assert store.find(layout, tmp_path / "cache", "exact") is None
    assert store.make(layout, tmp_path / "cache", "exact") == built


def test_two_who_build_at_once_do_not_disturb_each_other(layout: Layout, tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            built = store.make(layout, tmp_path / "cache", "exact")
            Compact(layout, built, threads=1).load()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert failed == []
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_old_folders_go(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for seed in range(6):
        folder = write(tmp_path / "model", seed=seed)
        newest = store.make(find(folder), cache, "exact")
        shutil.rmtree(folder)
    assert len(list(cache.iterdir())) == 4
    assert newest.folder.is_dir()


def test_what_a_killed_builder_left_goes_after_a_day(layout: Layout, tmp_path: Path) -> None:
    old, young = (tmp_path / "cache" / f".draft-{name}" for name in ("old", "young"))
    for draft in (old, young):
        draft.mkdir(parents=True)
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    store.make(layout, tmp_path / "cache", "exact")
    assert (old.exists(), young.exists()) == (False, True)


def test_a_model_without_names_has_its_codec_rebuilt_and_nothing_else(tmp_path: Path) -> None:
    layout = find(write(tmp_path / "model", style=STYLES["renamed"]))
    built = store.make(layout, tmp_path / "cache", "exact")
    assert built.refused.keys() == {"language_model", "frames"}


@pytest.mark.parametrize("style", ["constants", "bias-last", "spelt-out"])
def test_a_model_with_names_is_rebuilt_however_it_is_written(tmp_path: Path, style: str) -> None:
    layout = find(write(tmp_path / "model", style=STYLES[style]))
    assert store.make(layout, tmp_path / "cache", "exact").refused == {}
