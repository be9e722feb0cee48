"""The walls of the house stand: who imports whom, how light a plugin is, how a room is told."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("router", "providers", "tests", "grafana")
HEAVY = (
    *("onnxruntime", "av", "numpy", "soxr", "aiohttp", "httpx", "sqlalchemy"),
    *("litestar", "uvicorn", "espeakng_loader", "pyopenjtalk", "redis", "alembic", "asyncpg"),
    *("sentencepiece", "huggingface_hub", "onnx", "wetext", "opentelemetry", "google.protobuf"),
)
MACHINE = re.compile(r"(?<![\w./-])/(?:work|root|home/\w+|tmp/[a-z]+/(?:v|dev))/")


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def texts() -> Iterator[tuple[Path, str]]:
    """Every text of the tree that somebody wrote, but for this one."""
    top = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    rooms = [ROOT / name for name in (*ROOMS, "config", ".ci")]
    inside = [path for room in rooms for path in room.rglob("*") if path.is_file()]
    for path in sorted({*top, *inside} - {Path(__file__)}):
        if "__pycache__" not in path.parts:
            with suppress(UnicodeDecodeError):
                yield path, path.read_text("utf-8")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_every_import_contract_holds() -> None:
    code = "import sys; from importlinter.cli import lint_imports_command as lint; lint()"
    done = run(sys.executable, "-c", code, "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_wall_is_noticed(tmp_path: Path) -> None:
    """The contracts are of use only if they can fail."""
    room = tmp_path / "router" / "routing"
    room.mkdir(parents=True)
    for package in (tmp_path / "router", room):
        (package / "__init__.py").write_text("")
    (tmp_path / "router" / "audio.py").write_text("")
    (room / "plan.py").write_text("import router.audio\n")
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_package = router\n"
        "[importlinter:contract:1]\nname = stairs\ntype = layers\ncontainers = router\n"
        "layers =\n  routing | audio\n"
    )
    code = "import sys; from importlinter.cli import lint_imports_command as lint; lint()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr


def test_all_plugins_load_without_their_heavy_halves() -> None:
    ours = sorted(point.value for point in entry_points(group="tts_router"))
    assert {"providers.espeak", "providers.leaper", "providers.nanogpt", "providers.openai"} <= set(
        ours
    )
    code = (
        "import importlib, json, sys\n"
        f"for name in {ours!r}: importlib.import_module(name)\n"
        f"print(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))\n"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("room", ["router", "router.contract", "router.testing.scripted"])
def test_what_every_plugin_runs_is_light(room: str) -> None:
    code = f"import {room}, sys; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert run(sys.executable, "-c", code).stdout == "[]\n"


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    mute = []
    for path in modules():
        tree = ast.parse(path.read_text("utf-8"))
        first = (ast.get_docstring(tree) or "").partition("\n\n")[0]
        is_bare = not tree.body and path.name == "__init__.py" and "tests" in path.parts
        if not is_bare and not first.rstrip().endswith((".", ":", "?", "…")):
            mute.append(str(path.relative_to(ROOT)))
    assert mute == []


def test_everything_public_in_the_contract_is_told() -> None:
    mute = []
    for path in (ROOT / "router" / "contract").glob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            is_error = path.name == "errors.py" and isinstance(node, ast.ClassDef)
            if not (is_error or node.name.startswith("_") or ast.get_docstring(node)):
                mute.append(f"{path.name}: {node.name}")
    assert mute == [], "only an error's name may say it all"


def test_every_room_has_its_door_plate() -> None:
    for room in (ROOT / "router").iterdir():
        if room.is_dir() and (room / "__init__.py").exists():
            first = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
            assert first, room.name


def test_no_path_of_a_machine_is_in_the_tree() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in texts()
        if (match := MACHINE.search(text))
    ]
    assert found == []


def test_no_file_is_left_unfinished() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in texts()
        if path.suffix in (".py", ".yaml", ".toml", ".sh") and (match := marks.search(text))
    ]
    assert found == []


def test_the_router_names_no_provider() -> None:
    names = re.compile(r"\bproviders\.(espeak|leaper|nanogpt|openai)\b")
    for path in (ROOT / "router").rglob("*.py"):
        assert not names.search(path.read_text("utf-8")), path
