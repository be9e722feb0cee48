"""The JSON Schema takes what the router takes, and refuses what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from router.registry import find
from router.settings.schema import schema

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    made = schema(find().providers)
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def wrong(validator: Draft202012Validator, config: Any) -> list[str]:
    return [error.message for error in validator.iter_errors(config)]


@pytest.mark.parametrize("name", ["router.yaml", "router.example.yaml"])
def test_the_schema_accepts_our_own_files(name: str, validator: Draft202012Validator) -> None:
    assert wrong(validator, yaml.safe_load((CONFIG / name).read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "servr: {}",
        "server: {prot: 1}",
        "timeouts: {stalls: 1}",
        "providers: {e: {kind: espeak, voise: x}}",
        "providers: {e: {kind: nobody}}",
        "providers: {e: {}}",
        "models: {m: {route: []}}",
        "models: {m: {routes: [{provder: e}]}}",
        "voices: {v: {gander: female}}",
        "server: {port: 70000}",
        "server: {strict: [leper]}",
        "providers: {e: {kind: espeak, enabled: perhaps}}",
    ],
)
def test_the_schema_refuses_a_misspelt_key_or_value(
    text: str, validator: Draft202012Validator
) -> None:
    assert wrong(validator, yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        'server: {port: "${PORT}", open: "${OPEN:-false}"}',
        'timeouts: {stall_s: "${STALL:-3}"}',
        'providers: {l: {kind: leaper, key: "${KEY}", slots: "${SLOTS:-4}"}}',
        "voices: {mine: {same_as: alloy, providers: {openai: coral}}}",
        "providers: {a: {kind: espeak}, b: {kind: espeak, enabled: false}}",
    ],
)
def test_a_reference_may_stand_where_a_number_or_a_switch_may(
    text: str, validator: Draft202012Validator
) -> None:
    assert wrong(validator, yaml.safe_load(text)) == []
