"""What providers/README.md tells authors is true: it is installed and run as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from router.testing.promises import PROMISES

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "sample_plugin"
README = (ROOT / "providers" / "README.md").read_text(encoding="utf-8")

FIND = """
import importlib.metadata, json
found = [
    [point.name, point.load().__file__, point.dist.name, point.dist.version]
    for point in importlib.metadata.entry_points(group="tts_router", name="morse")
]
print(json.dumps(found))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def run(folder: Path, *arguments: str) -> str:
    """A process that sees the project and what is installed in `folder`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample package, built and installed as a stranger's would be, without a network."""
    source, target = tmp_path_factory.mktemp("source") / "morse", tmp_path_factory.mktemp("site")
    shutil.copytree(SAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    alone = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    run(target, "-m", "pip", "install", *alone, "--target", str(target), str(source))
    return target


def test_its_entry_point_is_found(installed: Path) -> None:
    ((name, file, package, version),) = json.loads(run(installed, "-c", FIND))
    assert (name, package, version) == ("morse", "tts-router-morse", "1.0")
    assert Path(file) == installed / "tts_router_morse.py"


def test_it_keeps_the_promises_by_the_test_of_the_readme(installed: Path) -> None:
    (installed / "test_morse.py").write_text(blocks("python")[1], encoding="utf-8")
    plugins = ("--disable-plugin-autoload", "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider")
    options = ("-q", "-c", os.devnull, "--rootdir", str(installed), *plugins)
    asyncio_mode = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    told = run(installed, "-m", "pytest", *options, *asyncio_mode, "test_morse.py")
    assert f"{len(PROMISES)} passed" in told


def test_the_readme_shows_the_module_of_the_sample() -> None:
    module = (SAMPLE / "tts_router_morse.py").read_text(encoding="utf-8")
    assert blocks("python")[0] == module


def test_forty_lines_are_enough() -> None:
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith(("import", "from", '"""'))]
    assert len(code) <= 42


def test_the_readme_shows_the_entry_point_of_the_sample() -> None:
    shown = tomllib.loads(blocks("toml")[0])["project"]["entry-points"]
    package = tomllib.loads((SAMPLE / "pyproject.toml").read_text(encoding="utf-8"))
    assert shown == package["project"]["entry-points"]


def test_the_readme_tells_every_promise() -> None:
    told = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert sorted(told) == sorted(promise.__name__ for promise in PROMISES)
