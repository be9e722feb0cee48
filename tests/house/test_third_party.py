"""A stranger's plugin: installed by its entry point, named in the config, heard in an answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "sample_plugin"

SPEAK = """
import pathlib, sys
from litestar.testing import TestClient
from router import registry
from router.app.server import create_app
from router.settings.load import parse

kinds = registry.find()
assert kinds.plugins["morse"] == "tts-router-morse 1.0", kinds.plugins
folder = pathlib.Path(sys.argv[1])
settings = parse(f'''
server: {{data_dir: {folder}/data, cache_dir: {folder}/cache}}
providers: {{key: {{kind: morse, dot_ms: 20}}}}
models: {{telegraph: {{routes: [{{provider: key}}]}}}}
integrity: {{judges: false}}
''', kinds.providers)
with TestClient(create_app(settings, kinds), base_url="http://127.0.0.1") as client:
    answer = client.post("/v1/audio/speech", json={
        "model": "telegraph", "input": "SOS", "voice": "alloy", "response_format": "wav"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-tts-provider"] == "key"
    assert answer.headers["x-audio-sample-rate"] == "24000"
    dots = 2 * (3 * 2 + 2) + (3 * 4 + 2)
    seconds = (len(answer.content) - 44) / 2 / 24_000
    assert abs(seconds - dots * 0.02) < 0.01, seconds
    refused = client.post("/v1/audio/speech", json={
        "model": "telegraph", "input": "\\u4f60", "voice": "alloy", "response_format": "wav"})
    assert refused.status_code == 400, refused.text
    assert "Morse code has the letters" in refused.text
print("heard")
"""

OBSERVER = """
from contextlib import asynccontextmanager
import msgspec
from router.contract.hookspecs import hookimpl
from router.contract.record import ObserverKind

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass

@asynccontextmanager
async def open_ear(settings):
    yield None

@hookimpl
def tts_observer_kinds():
    return [ObserverKind(name="ear", settings=Settings, open=open_ear, summary="listens")]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample package, installed without a network into a folder of its own."""
    source, target = tmp_path_factory.mktemp("source") / "morse", tmp_path_factory.mktemp("site")
    shutil.copytree(SAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    alone = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    pip = (sys.executable, "-m", "pip", "install", *alone, "--target", str(target), str(source))
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    return target


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_strangers_provider_speaks_through_the_router(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "-c", SPEAK, str(tmp_path))
    assert done.stdout == "heard\n" or "heard" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stderr


def test_the_command_lists_it(installed: Path) -> None:
    told = run(installed, "-m", "router", "plugins").stdout
    assert "morse" in told
    assert "tts-router-morse 1.0" in told


def test_a_plugin_can_be_blocked_by_its_name(installed: Path) -> None:
    told = run(
        installed, "-m", "router", "plugins", TTS_ROUTER_BLOCK_PLUGINS="morse, leaper"
    ).stdout
    assert "morse" not in told
    assert "leaper" not in told
    assert "espeak" in told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise RuntimeError('no')", "cannot be loaded"),
        (OBSERVER.replace("tts_observer_kinds", "tts_obsever_kinds"), "obsever"),
        (OBSERVER.replace("return [", "raise ValueError('x')\n    return ["), "cannot be loaded"),
    ],
)
def test_a_broken_plugin_ends_the_start_in_one_clean_line(
    body: str, told: str, tmp_path: Path
) -> None:
    _install(tmp_path, body)
    done = run(tmp_path, "-m", "router", "plugins")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_plugin_that_is_blocked_harms_nobody(tmp_path: Path) -> None:
    _install(tmp_path, "raise RuntimeError('no')")
    done = run(tmp_path, "-m", "router", "plugins", TTS_ROUTER_BLOCK_PLUGINS="broken")
    assert done.returncode == 0


def test_two_kinds_of_one_name_stop_the_start(installed: Path, tmp_path: Path) -> None:
    _install(tmp_path, (installed / "tts_router_morse.py").read_text("utf-8"))
    path = os.pathsep.join([str(installed), str(tmp_path), str(ROOT)])
    done = run(tmp_path, "-m", "router", "plugins", PYTHONPATH=path)
    assert done.returncode == 1
    assert "two plugins bring the kind 'morse'" in done.stderr


def test_an_observer_is_found_by_its_hook(tmp_path: Path) -> None:
    _install(tmp_path, OBSERVER)
    assert "ear" in run(tmp_path, "-m", "router", "plugins").stdout


def _install(folder: Path, body: str) -> None:
    """A module, and the metadata by which it is found."""
    (folder / "broken_plugin.py").write_text(body)
    info = folder / "broken_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tts_router]\nbroken = broken_plugin\n")
