"""The two configs that are shipped: one runs as it is, one tells every key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no stubs of its own
import msgspec
import pytest
import yaml
from click.testing import CliRunner

from router import registry
from router.cli import main
from router.contract.provider import Kind
from router.settings.load import parse
from router.settings.schema import schema
from tests.docs.commented import Key, comments, keys
from tests.support.process import ROOT

EXAMPLE = ROOT / "config" / "router.example.yaml"
SHIPPED = ROOT / "config" / "router.yaml"
VARIABLES = ("LEAPER_API_KEY", "NANOGPT_API_KEY", "OPENAI_API_KEY", "TTS_ROUTER_SECRET")


@pytest.fixture(scope="module")
def kinds() -> dict[str, Kind]:
    """Those that come with the router, whatever else is installed here."""
    found = registry.find().providers
    return {n: k for n, k in found.items() if k.settings.__module__.startswith("providers.")}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "sk-of-a-test")


@pytest.mark.usefixtures("variables")
def test_the_example_is_a_config_in_which_every_provider_is_on(kinds: dict[str, Kind]) -> None:
    settings = parse(EXAMPLE.read_text("utf-8"), kinds)

    assert {name: provider.off for name, provider in settings.providers.items()} == dict.fromkeys(
        settings.providers
    )
    assert {provider.entry.kind for provider in settings.providers.values()} == set(kinds)


def test_the_example_shows_every_key_there_is(kinds: dict[str, Kind]) -> None:
    shown = {key for key, _ in comments(EXAMPLE.read_text("utf-8"), kinds)}

    assert {f"{struct.__qualname__}.{name}" for struct, name in keys(kinds) - shown} == set()


def test_the_example_tells_every_key_with_its_default(kinds: dict[str, Kind]) -> None:
    tables = {"server", "timeouts", "providers", "models", "voices"}
    said: dict[Key, list[str]] = {}
    for key, comment in comments(EXAMPLE.read_text("utf-8"), kinds):
        said.setdefault(key, []).append(comment)

    untold = [
        f"{struct.__module__}.{struct.__qualname__}.{name} ({_default(struct, name)})"
        for struct, name in sorted(said, key=str)
        if not (struct.__qualname__ == "File" and name in tables)
        and not any(re.search(_default(struct, name), words) for words in said[struct, name])
    ]
    assert untold == []


@pytest.mark.usefixtures("variables")
def test_editors_find_no_fault_in_the_example(kinds: dict[str, Kind]) -> None:
    jsonschema.Draft202012Validator(schema(kinds)).validate(_read(EXAMPLE))


@pytest.mark.parametrize("file", [EXAMPLE, SHIPPED], ids=lambda file: file.name)
@pytest.mark.usefixtures("variables")
def test_check_calls_both_configs_good(file: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(file)])

    assert result.exit_code == 0, result.output
    assert result.output == f"{file} is good.\n"


def test_the_shipped_config_needs_no_variable(
    kinds: dict[str, Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    settings = parse(SHIPPED.read_text("utf-8"), kinds)

    on = {name for name, provider in settings.providers.items() if provider.off is None}
    assert on == {"espeak", "moss"}


def _default(struct: type[msgspec.Struct], name: str) -> str:
    """What must be read in the comment of a key, as a pattern."""
    field = next(f for f in msgspec.structs.fields(struct) if f.encode_name == name)
    if field.required:
        return r"\bRequired\b"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    said = _written(value)
    return r"\bDefault\b" if said is None else rf"\bDefault {re.escape(said)}(?!\w|\.\d)"


def _written(value: Any) -> str | None:
    """A default in YAML's words; `None`: too long for that, any words will do."""
    match value:
        case None | () | {} if not value:
            return "none"
        case bool():
            return str(value).lower()
        case str() | int():
            return str(value) or '""'
        case float():
            return f"{value:g}"
        case (float(), *_):
            return str(list(value))
    return None


def _read(file: Path) -> Any:
    return yaml.safe_load(file.read_text("utf-8"))
