"""`tts-router keys`: every verb, as somebody types it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.cli.test_verbs import _with_the_scripted_kind, said, typed

__all__ = ["_with_the_scripted_kind"]

CONFIG = """
server: {{data_dir: {folder}/data, cache_dir: {folder}/cache}}
accounts: {{keys: {{app: {{key: sk-of-the-config-0123, credits: 2}}}}}}
providers: {{voice: {{kind: scripted}}}}
models: {{nano: {{routes: [{{provider: voice}}]}}}}
"""
KEY = re.compile(r"sk-tts-[A-Za-z0-9]{40}\n")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "router.yaml"
    path.write_text(CONFIG.format(folder=tmp_path))
    monkeypatch.setenv("TTS_ROUTER_CONFIG", str(path))
    return path


def created(*options: str) -> tuple[str, str]:
    """A new key and its id."""
    result = typed("keys", "create", *options)
    assert result.exit_code == 0, result.output
    assert KEY.fullmatch(result.stdout)
    found = re.search(r"key_[0-9a-f]+", result.stderr)
    assert found is not None
    return result.stdout.strip(), found[0]


@pytest.mark.usefixtures("config")
def test_a_key_is_printed_alone_once() -> None:
    key, id = created("--name", "me", "--credits", "1.5", "--model", "nano")
    listed = typed("keys", "list").output
    assert id in listed
    assert f"{key[:11]}…{key[-4:]}" in listed
    assert key not in listed
    assert "config:app" in listed
    (mine,) = (k for k in json.loads(typed("keys", "list", "--json").stdout) if k["id"] == id)
    assert (mine["name"], mine["balance"], mine["models"]) == ("me", "1.5", ["nano"])


@pytest.mark.usefixtures("config")
def test_a_key_has_the_limits_that_were_typed() -> None:
    options = ("--requests-per-minute", "5", "--credits-per-day", "0.25", "--expires", "2999-12-31")
    result = typed("keys", "create", *options, "--json")
    made = json.loads(result.stdout)
    assert made["limits"]["requests_per_minute"] == 5
    assert made["limits"]["credits_per_day"] == 0.25
    assert (made["expires"], made["metered"]) == ("2999-12-31", False)
    assert KEY.fullmatch(made["key"] + "\n")


@pytest.mark.usefixtures("config")
def test_a_key_is_disabled_enabled_and_rotated() -> None:
    key, id = created()
    assert typed("keys", "disable", id).stdout == f"{id} is disabled.\n"
    assert "disabled" in typed("keys", "list").stdout
    assert typed("keys", "enable", id).stdout == f"{id} is enabled.\n"
    renewed = typed("keys", "rotate", id)
    assert KEY.fullmatch(renewed.stdout)
    assert renewed.stdout.strip() != key


@pytest.mark.usefixtures("config")
def test_credit_is_added_once_by_its_name() -> None:
    _, id = created()
    assert typed("keys", "top-up", id, "2.5", "--once", "may").stdout == f"{id} has 2.5 credits.\n"
    assert typed("keys", "top-up", id, "2.5", "--once", "may").stdout == f"{id} has 2.5 credits.\n"
    assert typed("keys", "top-up", id, "0.000000001").stdout == f"{id} has 2.500000001 credits.\n"
    assert typed("keys", "top-up", "config:app", "1").stdout == "config:app has 3 credits.\n"


@pytest.mark.usefixtures("config")
def test_usage_is_a_table_csv_or_json() -> None:
    assert typed("keys", "usage").stdout.split()[:3] == ["DAY", "ACCOUNT", "MODEL"]
    head = next(csv.reader(io.StringIO(typed("keys", "usage", "--format", "csv").stdout)))
    assert head[0] == "day"
    assert (
        json.loads(typed("keys", "usage", "--format", "json", "--from", "2026-01-01").stdout) == []
    )


@pytest.mark.usefixtures("config")
def test_a_hash_is_what_the_config_takes(tmp_path: Path) -> None:
    hash = typed("keys", "hash", stdin="sk-of-my-own-making\n").stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", hash)
    file = tmp_path / "hashed.yaml"
    file.write_text(
        CONFIG.format(folder=tmp_path).replace("key: sk-of-the-config-0123", f"hash: {hash}")
    )
    assert typed("check", str(file)).exit_code == 0
    assert "at least 16 characters" in said(typed("keys", "hash", stdin="short\n"))


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("disable", "key_nobody"), "there is no key 'key_nobody'"),
        (("rotate", "config:app"), "the config's"),
        (("top-up", "key_nobody", "1"), "there is no key"),
        (("top-up", "config:app", "many"), "a decimal number"),
        (("top-up", "config:app", "1e20"), "between 0 and 1000000000"),
        (("create", "--model", "typo"), "there is no model 'typo'"),
        (("create", "--provider", "typo"), "there is no provider 'typo'"),
        (("create", "--credits", "nan"), "credits"),
    ],
)
def test_what_is_typed_wrongly_ends_in_one_clean_line(words: tuple[str, ...], told: str) -> None:
    assert told in said(typed("keys", *words))


def test_a_store_that_cannot_be_used_ends_in_one_clean_line(config: Path) -> None:
    (config.parent / "data").mkdir()
    (config.parent / "data" / "store.db").write_bytes(b"no database, but long enough" * 100)
    for words in (("keys", "list"), ("serve", "--port", "0")):
        assert "the store cannot be opened" in said(typed(*words))


def test_another_secret_is_told_as_what_it_is(config: Path) -> None:
    created()
    (config.parent / "data" / "secret").write_text("another")
    assert "made with another secret" in said(typed("keys", "list"))
