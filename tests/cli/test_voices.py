"""`tts-router voices`, as somebody types it: what there is, and what is kept of one's own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from tests.api.voiced import CLIP, CONSENT
from tests.support.tiny_moss import write

CONFIG = """
server: {{data_dir: {folder}/data, cache_dir: {folder}/cache}}
integrity: {{judges: false}}
providers:
  mine: {{kind: moss-tts-nano, directory: {model}, pull: never, graphs: shipped, spell_out: false}}
models:
  moss-tts-nano: {{routes: [{{provider: mine}}]}}
voices:
  narrator: {{languages: [en]}}
  sprecher: {{languages: [de]}}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("model"))


@pytest.fixture
def config(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "router.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, model=model))
    monkeypatch.setenv("TTS_ROUTER_CONFIG", str(path))
    (tmp_path / "clip.wav").write_bytes(CLIP)
    return path


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, ("voices", *words))


def adds(name: str = "Anna", clip: str = "clip.wav", *more: str) -> Result:
    return typed("add", name, clip, "--consent", CONSENT, *more)


def said(result: Result) -> str:
    """What a refusal said: one line, and no traceback."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    (error,) = result.stderr.splitlines()
    assert error.startswith("Error: ")
    return error


def kept(folder: Path) -> list[Path]:
    return list(folder.glob("data/providers/mine/voices/*"))


def test_a_voice_is_kept_listed_exported_and_deleted(config: Path, tmp_path: Path) -> None:
    told = adds()
    assert told.exit_code == 0, told.output
    found = re.fullmatch(
        r"Anna is kept as (voice_\w+), made of (\d\.\d) s of the sample\.\n", told.stdout
    )
    assert found, told.stdout
    listed = typed("saved").stdout
    for word in ("Anna", found[1], "local", CONSENT):
        assert word in listed

    assert typed("export", "anna", "-o", "anna.json").exit_code == 0
    (file,) = kept(tmp_path)
    assert (tmp_path / "anna.json").read_bytes() == file.read_bytes()
    assert json.loads(file.read_bytes())["voice"]["name"] == "Anna"
    assert typed("export", found[1], "-o", "-").stdout_bytes == file.read_bytes()

    gone = typed("delete", "ANNA")
    assert gone.stdout == f"Anna ({found[1]}) is deleted.\n"
    assert kept(tmp_path) == []


def test_say_speaks_in_a_voice_of_ones_own(config: Path, tmp_path: Path) -> None:
    adds()
    told = CliRunner().invoke(main, ("say", "Hello.", "--voice", "anna", "-o", "hello.wav"))
    assert told.exit_code == 0, told.output
    assert (tmp_path / "hello.wav").stat().st_size > 1_000


def test_the_bare_word_lists_the_voices_of_the_config(config: Path) -> None:
    told = typed()
    assert told.exit_code == 0, told.output
    assert [line.split()[0] for line in told.stdout.splitlines()][:1] == ["VOICE"]
    assert {"narrator", "sprecher"} <= set(told.stdout.split())
    german = typed("--language", "de").stdout.split()
    assert "sprecher" in german
    assert "narrator" not in german


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "Anna", "router.yaml", "--consent", "Yes."), "is no mp3, wav"),
        (("add", "../x", "clip.wav", "--consent", "Yes."), "name must have"),
        (("add", "narrator", "clip.wav", "--consent", "Yes."), "has this name"),
        (("add", "Anna", "clip.wav", "--consent", " "), "consent must say"),
        (("add", "Anna", "short.wav", "--consent", "Yes."), "sample"),
        (("delete", "Anna"), "no voice 'Anna' is kept"),
        (("export", "Anna", "-o", "anna.json"), "no voice 'Anna' is kept"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: tuple[str, ...], told: str, config: Path, tmp_path: Path
) -> None:
    (tmp_path / "short.wav").write_bytes(CLIP[:2_000])
    assert told in said(typed(*words))
    assert kept(tmp_path) == []
    assert not (tmp_path / "anna.json").exists()


def test_a_consent_has_to_be_given(config: Path, tmp_path: Path) -> None:
    result = typed("add", "Anna", "clip.wav")
    assert result.exit_code == 2
    assert "--consent" in result.stderr
    assert kept(tmp_path) == []


def test_a_name_that_several_have_is_told_apart_by_its_owner(config: Path) -> None:
    for owner in ("one", "two"):
        assert adds("Anna", "clip.wav", "--owner", owner).exit_code == 0
    assert "several have this name" in said(typed("delete", "anna"))
    assert typed("delete", "anna", "--owner", "one").exit_code == 0
    assert typed("delete", "anna").exit_code == 0


def test_with_keys_a_voice_is_a_keys(config: Path, tmp_path: Path) -> None:
    config.write_text(
        config.read_text() + "accounts: {keys: {app: {key: sk-of-the-app-0123456789}}}\n"
    )
    assert "--owner" in said(adds())
    assert "nobody" in said(adds("Anna", "clip.wav", "--owner", "nobody"))
    told = adds("Anna", "clip.wav", "--owner", "config:app")
    assert told.exit_code == 0, told.output
    (file,) = kept(tmp_path)
    assert json.loads(file.read_bytes())["voice"]["owner"] == "config:app"


def test_without_the_model_one_line_says_what_is_missing(config: Path, tmp_path: Path) -> None:
    config.write_text(
        re.sub(r"directory: [^,]+", f"directory: {tmp_path}/none", config.read_text())
    )
    assert "No voice can be saved now" in said(adds())


def test_where_nobody_keeps_voices_one_line_says_so(config: Path) -> None:
    config.write_text(config.read_text().replace("mine: {", "mine: {enabled: false, "))
    assert "keeps voices" in said(adds())


def test_help_names_the_words(config: Path) -> None:
    told = typed("--help").stdout
    for word in ("add", "saved", "delete", "export"):
        assert word in told
        assert typed(word, "--help").exit_code == 0
