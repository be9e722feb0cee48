"""What the README installs is enough: keys, limits and jobs need nothing of an extra."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import ROOT, serving

OF_EXTRAS = (
    *("greenlet", "asyncpg", "redis", "hiredis", "opentelemetry", "google.protobuf"),
    *("lingua", "wetext", "pyopenjtalk", "onnx", "onnxruntime", "sentencepiece"),
    "huggingface_hub",
)
_WITHOUT = f"""
import sys
from importlib.machinery import PathFinder

HIDDEN = {OF_EXTRAS!r}

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if any(name == one or name.startswith(one + ".") for one in HIDDEN):
            return None
        return super().find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without the extras, for every process that is started."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_WITHOUT, "utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    return tmp_path


def _run(*words: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "router", *words],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_keys_and_jobs_need_no_extra(plain: Path) -> None:
    config = {
        "providers": {"espeak": {"kind": "espeak"}},
        "models": {"it": {"routes": [{"provider": "espeak"}]}},
    }
    home, book, audio = plain / "home", plain / "book.txt", plain / "book.mp3"
    home.mkdir()
    book.write_text("One sentence of a book. And one more.", "utf-8")
    written = plain / "router.yaml"
    places = {"data_dir": str(home / "data"), "cache_dir": str(home / "cache")}
    written.write_text(json.dumps({**config, "server": places}), "utf-8")

    key = _run("keys", "create", "--config", str(written), "--name", "phone").strip()
    with serving(config, home, environ={"PYTHONPATH": os.environ["PYTHONPATH"]}) as server:
        there = ("--url", server.url, "--key", key)
        _run("jobs", "submit", str(book), *there, "--wait", "-o", str(audio))
        (job,) = json.loads(_run("jobs", "list", *there, "--json"))["data"]

    assert job["status"] == "completed"
    assert audio.stat().st_size > 1_000
