"""The JSON Schema of the config file (draft 2020-12), so that editors can help to write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from router.contract.provider import Kind, Secret
from router.settings.structs import File

_REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}


def schema(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The schema of the whole file, with the keys of every kind of provider that is installed."""
    types = [File, *(kind.settings for kind in kinds.values())]
    (of_file, *of_kinds), parts = msgspec.json.schema_components(types, schema_hook=_known)
    entry = parts["ProviderEntry"]
    del entry["additionalProperties"]
    entry["unevaluatedProperties"] = False
    entry["properties"]["kind"] = {"type": "string", "enum": list(kinds)}
    entry["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": name}}},
            "then": {"$ref": reference["$ref"]},
        }
        for name, reference in zip(kinds, of_kinds, strict=True)
    ]
    for reference in of_kinds:  # the keys that all kinds share stand beside a kind's own
        del parts[reference["$ref"].rsplit("/", 1)[1]]["additionalProperties"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tts-router configuration",
        **of_file,
        "$defs": {name: _with_references(part) for name, part in parts.items()},
    }


def _known(type_: type) -> dict[str, Any]:
    if type_ is Secret:
        return {"type": "string", "writeOnly": True}
    if type_ is Path:
        return {"type": "string"}
    raise NotImplementedError


def _with_references(part: Any) -> Any:
    """Let every number and switch be an `${ENV}` reference too."""
    if isinstance(part, list):
        return [_with_references(item) for item in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") in ("integer", "number", "boolean"):
        told = {key: part[key] for key in ("default", "description") if key in part}
        return {"anyOf": [part, _REFERENCE], **told}
    return {key: _with_references(item) for key, item in part.items()}
