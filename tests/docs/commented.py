"""Reads a YAML page beside its structs: which key it shows, and what it says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from router.contract.provider import Kind
from router.settings.structs import File, ProviderEntry

Key = tuple[type[msgspec.Struct], str]
"""A struct, and a key of it as it is written in YAML."""


def keys(kinds: Mapping[str, Kind]) -> set[Key]:
    """Every key that may stand in a config with these kinds of provider."""
    found: set[Key] = set()
    waiting: list[type[msgspec.Struct]] = [File, *(kind.settings for kind in kinds.values())]
    while waiting:
        struct = waiting.pop()
        for field in msgspec.structs.fields(struct):
            if (struct, field.encode_name) not in found:
                found.add((struct, field.encode_name))
                waiting += _structs(get_type_hints(struct)[field.name])
    return found


def comments(text: str, kinds: Mapping[str, Kind]) -> Iterator[tuple[Key, str]]:
    """Every key of the page in its order, and the comment beside it and right above it."""
    lines = text.splitlines()
    for key, line in _walk(yaml.compose(text), File, kinds):
        yield key, _comment(lines, line)


def _walk(node: Any, struct: type[msgspec.Struct], kinds: Mapping[str, Kind]) -> Iterator[Any]:
    assert isinstance(node, yaml.MappingNode)
    hints = get_type_hints(struct)
    names = {field.encode_name: field.name for field in msgspec.structs.fields(struct)}
    for key, value in node.value:
        if key.value not in names:
            continue  # of a provider: told by the other of its two structs
        yield (struct, key.value), key.start_mark.line
        for inner in _structs(hints[names[key.value]]):
            for table in _tables(value, hints[names[key.value]]):
                yield from _walk(table, inner, kinds)
                if inner is ProviderEntry:
                    yield from _walk(table, kinds[_kind(table)].settings, kinds)


def _tables(node: yaml.Node, hint: Any) -> Iterator[yaml.Node]:
    """The tables of one struct: the node itself, the values of a mapping, the items of a list."""
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        is_mapping = any(_is_mapping(part) for part in (hint, *get_args(hint)))
        yield from (value for _, value in node.value) if is_mapping else (node,)


def _is_mapping(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _structs(hint: Any) -> list[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    if get_origin(hint) in (Annotated, Union, UnionType, tuple) or _is_mapping(hint):
        return [struct for part in get_args(hint) for struct in _structs(part)]
    return []


def _kind(table: Any) -> str:
    return str(next(value.value for key, value in table.value if key.value == "kind"))


def _comment(lines: list[str], at: int) -> str:
    _, _, beside = lines[at].partition(" # ")
    above = []
    for line in reversed(lines[:at]):
        if not line.strip().startswith("#"):
            break
        above.append(line.strip().lstrip("# "))
    return " ".join([*reversed(above), beside]).strip()
