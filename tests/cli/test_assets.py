"""`tts-router models` and what can be done with their files, as somebody types it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from router import registry
from router.cli import config as cli_config
from router.cli import main
from router.contract.errors import NotReady
from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Interrupted, Kind, Provider, Work
from router.registry import Kinds
from router.testing import scripted
from router.testing.scripted import Scripted

CONFIG = """
server: {{data_dir: {folder}/data, cache_dir: {folder}/cache}}
integrity: {{judges: false}}
providers:
  mine: {{kind: library, shelf: long, enabled: {enabled}}}
  voice: {{kind: scripted}}
models:
  nano: {{routes: [{{provider: voice}}]}}
"""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shelf: str = "short"
    fails: str = ""


class Library:
    """Files that are done at once; it remembers nothing and tells what it was given."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings, self._host = settings, host

    def pull(self, directory: Path | None, work: Work) -> Sequence[str]:
        if self._settings.fails == "stopped" or work.stopped():
            raise Interrupted
        if self._settings.fails:
            raise NotReady(f"there is no {self._settings.fails}.")
        work.progress("listing", 0, 0)
        for done in (0, 5_000_000, 10_000_000):
            work.progress("fetching", done, 10_000_000)
        return [
            f"{self._host.name} has its files on the {self._settings.shelf} shelf",
            str(directory),
        ]

    def optimize(self, directory: Path | None, work: Work) -> Sequence[str]:
        work.progress("building", 1, 1)
        return [f"optimized for {self._host.name} in {self._host.cache_dir.name}"]

    def compare(self, directory: Path | None, results: Path, work: Work) -> Mapping[str, Any]:
        return {"results": results.name, "worth": 0.5, "word": "größer"}


@asynccontextmanager
async def _open(settings: Settings, _host: Host) -> AsyncIterator[Provider]:
    raise AssertionError("nothing may be opened for its files")
    yield Scripted  # never reached, but a generator needs it


class Needy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str


@pytest.fixture(autouse=True)
def _with_a_kind_that_has_files(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = ModuleType("library")

    @hookimpl
    def tts_provider_kinds() -> list[Kind]:
        library = Kind(name="library", settings=Settings, open=_open, assets=Library)
        return [library, msgspec.structs.replace(library, name="needy", settings=Needy)]

    plugin.tts_provider_kinds = tts_provider_kinds  # type: ignore[attr-defined]  # a plugin's hook

    def found() -> Kinds:
        return registry.find(extra=[scripted, plugin])

    monkeypatch.setattr(cli_config, "kinds", found)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TTS_ROUTER_CONFIG", raising=False)
    path = tmp_path / "router.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, enabled="true"))
    return path


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def said(result: Result) -> str:
    """What a refusal said: one line, and no traceback."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    error = result.stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    return error


def test_a_providers_files_are_fetched_with_its_own_settings(config: Path) -> None:
    result = typed("models", "pull", "mine", "--config", str(config), "--dir", "there")
    assert result.exit_code == 0, result.output
    assert result.stdout == "mine has its files on the long shelf\nthere\n"
    assert result.stderr == "listing …\nfetching …\n"


def test_a_kinds_name_means_its_only_provider_and_nothing_is_opened(config: Path) -> None:
    result = typed("models", "pull", "library", "--config", str(config))
    assert "mine has its files on the long shelf\nNone\n" in result.stdout


def test_a_kind_that_the_config_does_not_name_has_its_defaults(
    tmp_path: Path, config: Path
) -> None:
    config.write_text(
        config.read_text().replace("mine: {kind: library", "other: {kind: scripted}\n  #")
    )
    result = typed("models", "pull", "library", "--config", str(config))
    assert "library has its files on the short shelf" in result.stdout, result.output


def test_optimize_and_compare_are_asked_of_the_kind(config: Path) -> None:
    optimized = typed("models", "optimize", "mine", "--config", str(config))
    assert optimized.stdout == "optimized for mine in mine\n"
    compared = typed("models", "compare", "mine", "--config", str(config), "--results", "heard")
    assert json.loads(compared.stdout) == {"results": "heard", "worth": 0.5, "word": "größer"}


@pytest.mark.parametrize(
    ("who", "told"),
    [
        ("nobody", "nobody is called 'nobody'; known: "),
        ("voice", "voice needs no files; these kinds do: library"),
        ("scripted", "scripted needs no files"),
        ("needy", "needy must be in the config first"),
    ],
)
def test_a_name_without_files_is_refused_in_one_line(who: str, told: str, config: Path) -> None:
    assert told in said(typed("models", "pull", who, "--config", str(config)))


@pytest.mark.parametrize(
    ("fails", "told"), [("space", "there is no space."), ("stopped", "goes on there")]
)
def test_what_cannot_be_done_is_one_line(fails: str, told: str, config: Path) -> None:
    config.write_text(config.read_text().replace("shelf: long", f"fails: {fails}"))
    assert told in said(typed("models", "pull", "mine", "--config", str(config)))


def test_a_ctrl_c_is_one_line(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Library, "pull", interrupted)
    assert "what has come is kept" in said(typed("models", "pull", "mine", "--config", str(config)))


def test_the_bare_word_lists_the_models(config: Path) -> None:
    told = typed("models", "--config", str(config))
    assert told.exit_code == 0, told.output
    assert "nano" in told.stdout
    assert "voice" in told.stdout


def test_a_terminal_sees_how_far_it_is(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from router.cli import assets  # noqa: PLC0415  # as the command does

    shown: list[str] = []
    monkeypatch.setattr(click, "echo", lambda text="", **_: shown.append(str(text)))
    with assets.Bar(shows=True) as bar:
        bar.progress("listing", 0, 0)
        bar.progress("fetching", 5_000_000, 10_000_000)
        bar.progress("proving", 3, 12)
    assert "listing …" in shown[0]
    assert "fetching ████████████░░░░░░░░░░░░ 50%, 5 of 10 MB, " in shown[1]
    assert "proving ██████░░░░░░░░░░░░░░░░░░ 25%, 3 of 12" in shown[2]


def test_help_names_the_words(config: Path) -> None:
    told = typed("models", "--help").stdout
    for word in ("pull", "optimize", "compare"):
        assert word in told
        assert typed("models", word, "--help").exit_code == 0
