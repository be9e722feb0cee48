"""Every mistake in a table at once, each with its key path and a remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from router.contract.errors import listed
from router.contract.provider import Secret

UNSET: Any = object()
"""Stands for a value that names an environment variable which is not set."""


class Problem(msgspec.Struct, frozen=True):
    """One mistake: where it is, what is wrong, what to do."""

    path: str
    wrong: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong}" + (f" — {self.remedy}" if self.remedy else "")


def convert(value: Any, type_: Any) -> Any:
    """msgspec's lax conversion (`"8080"` is a number), with `Secret` and `Path` known. Raises
    ValidationError."""
    return msgspec.convert(value, type_, strict=False, dec_hook=_known)


def _known(type_: type, value: Any) -> Any:
    if type_ is Secret and isinstance(value, str):
        return Secret(value.strip())
    if type_ is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise msgspec.ValidationError(f"Expected `str`, got `{type(value).__name__}`")


def problems(value: Any, type_: Any, path: str = "") -> Iterator[Problem]:
    """Walk a parsed table beside the type that it should have."""
    if value is UNSET:
        return
    if value is not None:
        type_ = _without_none(type_)
    origin = get_origin(type_)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        yield from _of_struct(value, type_, path)
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from problems(item, get_args(type_)[1], _join(path, str(key)))
    elif origin in (tuple, list) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(item, get_args(type_)[0], f"{path}[{index}]")
    else:
        try:
            convert(value, type_)
        except msgspec.ValidationError as error:
            yield Problem(path, str(error).replace("`", ""), _allowed(type_))


def _of_struct(value: Any, type_: type[msgspec.Struct], path: str) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem(path or "(the file)", f"must be a table, is {_kind_of(value)}")
        return
    hints = get_type_hints(type_, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    for key in value:
        if key not in fields:
            yield Problem(_join(path, str(key)), "is not a key here", near(str(key), list(fields)))
    for name, field in fields.items():
        if name in value:
            yield from problems(value[name], hints[field.name], _join(path, name))
        elif field.required:
            yield Problem(_join(path, name), "is missing", "it has no default")


def _without_none(type_: Any) -> Any:
    """`X` for `X | None`: what is there is held against `X`, and its mistakes keep their places."""
    if get_origin(type_) not in (Union, UnionType):
        return type_
    arms = [arm for arm in get_args(type_) if arm is not type(None)]
    return arms[0] if len(arms) == 1 else type_


def near(name: str, known: list[str]) -> str:
    """A remedy for a misspelt name: the closest known ones, else all."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known here: {listed(known)}" if known else ""


def _allowed(type_: Any) -> str:
    choices = [str(choice) for choice in _literals(type_)]
    return f"one of: {', '.join(choices)}" if choices else ""


def _literals(type_: Any) -> Iterator[Any]:
    for part in get_args(type_):
        if isinstance(part, str | bool | int):
            yield part
        elif part is bool:
            yield from ("true", "false")
        else:
            yield from _literals(part)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _kind_of(value: Any) -> str:
    words = {type(None): "empty", list: "a list", str: "a word", bool: "true or false"}
    return words.get(type(value), "a number")
