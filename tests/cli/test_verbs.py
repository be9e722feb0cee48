"""The `tts-router` command, as somebody types it."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router import registry
from router.cli import config as cli_config
from router.cli import main
from router.registry import Kinds
from router.testing import scripted

CONFIG = """
server: {{data_dir: {folder}/data, cache_dir: {folder}/cache}}
integrity: {{judges: false}}
providers:
  first: {{kind: scripted, seconds: 0.5, languages: [zh]}}
  voice: {{kind: scripted, seconds: 0.5}}
  far: {{kind: leaper, key: "${{TTS_NO_SUCH_KEY}}"}}
models:
  nano: {{routes: [{{provider: first}}, {{provider: far}}, {{provider: voice}}]}}
  other: {{routes: [{{provider: far}}]}}
"""


@pytest.fixture(autouse=True)
def _with_the_scripted_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> Kinds:
        return registry.find(extra=[scripted])

    monkeypatch.setattr(cli_config, "kinds", found)
    for verb in ("check", "listing"):
        __import__(f"router.cli.{verb}")
        monkeypatch.setattr(f"router.cli.{verb}.kinds", found)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TTS_ROUTER_CONFIG", raising=False)
    path = tmp_path / "router.yaml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def typed(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, words, input=stdin)


def said(result: Result) -> str:
    """The one line of a refusal; a traceback is none."""
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.stderr


# ---- say


def test_say_writes_a_file_that_is_whole(config: Path, tmp_path: Path) -> None:
    result = typed("say", "Hello, welcome.", "--config", str(config), "-o", "hello.wav")
    assert result.exit_code == 0, result.output
    with wave.open(str(tmp_path / "hello.wav")) as file:
        assert file.getnframes() == 12_000
    assert not list(tmp_path.glob("*.part"))
    assert result.stdout == ""


def test_say_speaks_into_a_pipe(config: Path) -> None:
    result = typed("say", "-", "--config", str(config), "-o", "-", stdin="Hello, welcome.")
    assert result.exit_code == 0, result.output
    with wave.open(io.BytesIO(result.stdout_bytes)) as file:
        assert file.getnframes() == 12_000


def test_say_takes_the_format_from_the_files_name(config: Path, tmp_path: Path) -> None:
    assert typed("say", "Hello.", "--config", str(config), "-o", "a.pcm").exit_code == 0
    assert (tmp_path / "a.pcm").stat().st_size == 24_000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("Hello.", "--voice", "nobody"), "nobody"),
        (("Hello.", "--model", "nobody"), "Known: nano, other"),
        (("Hello.", "--model", "other"), "TTS_NO_SUCH_KEY"),
        (("  ",), "empty"),
        (("Hello.", "--language", "no tag"), "BCP-47"),
        (("Hello.", "-o", "no/such/folder/a.wav"), "no/such/folder"),
    ],
)
def test_say_refuses_in_one_line_and_leaves_no_file(
    words: tuple[str, ...], told: str, config: Path, tmp_path: Path
) -> None:
    assert told in said(typed("say", "--config", str(config), *words))
    assert not list(tmp_path.glob("*.wav*"))


# ---- check and schema


def test_check_names_every_mistake_and_ends_with_a_status(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("servr: {}\nserver: {port: -1}\nmodels: {m: {routes: [{provider: x}]}}\n")
    result = typed("check", str(bad))
    assert result.exit_code == 1
    for told in (f"{bad}: servr:", f"{bad}: server.port:", "mistakes"):
        assert told in result.output
    bad.write_text("servr: {}")
    assert "1 mistake" in said(typed("check", str(bad)))
    bad.write_bytes(b"\xff")
    assert "UTF-8" in said(typed("check", str(bad)))
    assert "does not exist" in said(typed("check", str(tmp_path / "none.yaml")))


def test_check_says_that_a_file_is_good_and_who_is_off(config: Path) -> None:
    result = typed("check", str(config))
    assert result.exit_code == 0
    assert "providers.far is off: $TTS_NO_SUCH_KEY is not set" in result.output
    assert result.output.endswith("is good.\n")


def test_schema_prints_json_with_every_kind(config: Path) -> None:
    schema = json.loads(typed("schema").stdout)
    kinds = schema["$defs"]["ProviderEntry"]["properties"]["kind"]["enum"]
    assert {"espeak", "leaper", "nanogpt", "openai", "scripted"} <= set(kinds)


# ---- plan, models, voices, plugins


def test_plan_tells_who_and_why_not(config: Path) -> None:
    words = ("plan", "--config", str(config), "--model", "nano", "--voice", "alloy")
    told = typed(*words).stdout
    assert "1. voice: tone-1" in told
    assert "first (no_language)" in told
    assert "far (off)" in told
    found = json.loads(typed(*words, "--json", "--format", "pcm").stdout)
    assert [one["provider"] for one in found["candidates"]] == ["voice"]
    assert {one["reason"] for one in found["passed_over"]} == {"off", "no_language"}


def test_plan_refuses_where_nobody_can(config: Path) -> None:
    words = ("plan", "--config", str(config), "--model", "nano", "--voice", "alloy", "--clone")
    assert "clone" in said(typed(*words))
    assert "nobody" in said(typed(*words[:4], "nobody", "--voice", "alloy"))


def test_the_lists_are_tables(config: Path) -> None:
    models = typed("models", "--config", str(config)).stdout
    assert "nano" in models
    assert "first, far, voice" in models
    assert "nobody is on" in models
    voices = typed("voices", "--config", str(config), "--language", "ja").stdout
    assert "ja-news" in voices
    assert "alloy" not in voices
    plugins = typed("plugins").stdout
    for name in ("espeak", "leaper", "nanogpt", "openai"):
        assert name in plugins


def test_a_config_with_mistakes_ends_every_verb_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("servr: {}")
    monkeypatch.setenv("TTS_ROUTER_CONFIG", str(bad))
    for words in (
        ("models",),
        ("voices",),
        ("say", "Hello."),
        ("serve",),
        ("status",),
        ("plan", "--model", "a", "--voice", "b"),
    ):
        assert "servr: is not a key here" in said(typed(*words))


# ---- serve and status


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_serve_refuses_to_be_reached_by_others_without_keys(host: str, config: Path) -> None:
    told = said(typed("serve", "--config", str(config), "--host", host, "--port", "0"))
    assert "server.open: true" in told


def test_serve_says_that_a_port_is_taken(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "cannot listen" in said(typed("serve", "--config", str(config), "--port", port))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "nonsense", "http://[", "ftp://127.0.0.1", "http://127.0.0.1:x"]
)
def test_status_against_nothing_is_one_clean_line(url: str) -> None:
    said(typed("status", "--url", url))


def test_status_against_something_else_says_that_it_is_no_router(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = subprocess.Popen(
            [sys.executable, "-m", "router", "status", "--url", f"http://127.0.0.1:{port}/v1"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        connection, _ = server.accept()
        with connection:
            assert b"/health/ready" in connection.recv(4_096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
            _, told = child.communicate(timeout=30)
    assert child.returncode == 1
    assert "is no tts-router" in told
    assert "Traceback" not in told


# ---- the command itself


def test_help_and_version_name_every_verb() -> None:
    told = typed("--help").stdout
    for verb in (
        "serve",
        "say",
        "check",
        "plan",
        "schema",
        "models",
        "voices",
        "plugins",
        "status",
    ):
        assert verb in told
        assert typed(verb, "--help").exit_code == 0
    assert "tts-router" in typed("--version").stdout


def test_help_loads_no_server_and_no_codec() -> None:
    code = (
        "import sys; sys.argv = ['tts-router', '--version']\n"
        "from router.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'litestar', 'uvicorn', 'numpy', 'soxr', 'av', 'aiohttp', 'httpx'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
