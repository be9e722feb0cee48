"""Remembers what must not be told, and looks for it in what was."""

from __future__ import annotations

import base64
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, quote, quote_plus

from tests.support.process import Log

LEAST_CHARS = 16
"""A shorter text may stand anywhere by chance, and so may one of a single word; what is written in
other letters than ASCII's is no such thing, and half as long."""
LEAST_KEY = 12
_PART = 24
"""A text that was cut short is found by its parts."""
_KEPT = 60
"""Texts, and keys, that are looked for: those sent last. What is told is told soon after."""
_BUFFER_CHARS = 8_000_000
_CREDENTIALS = ("authorization", "x-api-key")


class Watch:
    """What must not be told, and what was."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, set[str]] = OrderedDict()
        self._keys: OrderedDict[str, set[str]] = OrderedDict()
        self._told: dict[str, list[str]] = {}
        self._chars = 0
        self._logs: list[tuple[Log, int]] = []
        self._found: list[str] = []

    # ---- what must not be told

    def text(self, text: str) -> None:
        """A caller's words; the beginning, the middle and the end are looked for."""
        is_ascii = text.isascii()
        if len(text) < (LEAST_CHARS if is_ascii else LEAST_CHARS // 2):
            return
        if is_ascii and not re.search(r"\S\s+\S", text):
            return
        middle = len(text) // 2
        parts = (text[:_PART], text[middle : middle + _PART], text[-_PART:])
        _hide(self._texts, text[:1000], {way for part in parts for way in _spellings(part.strip())})

    def key(self, key: str) -> None:
        if len(key) >= LEAST_KEY:
            _hide(self._keys, key, {key, quote(key)})

    def sample(self, data: bytes) -> None:
        """A recording: thirty bytes of its middle, in the ways in which bytes are printed."""
        part = data[len(data) // 2 :][:30]
        if len(set(part)) > 8:
            ways = {part.hex(), repr(part)[2:-1], part.decode("latin-1"), str(list(part))[1:-1]}
            ways |= {base64.b64encode(part[skip:])[2:-4].decode() for skip in range(3)}
            _hide(self._keys, part.hex(), ways)

    def request(self, headers: Mapping[str, str], body: bytes) -> None:
        """All that a request brings."""
        fields = {name.lower(): value for name, value in headers.items()}
        for name in _CREDENTIALS:
            self.key(fields.get(name, "").removeprefix("Bearer ").strip())
        for found in _said(body, fields.get("content-type", "")):
            if isinstance(found, str):
                self.text(found)
            else:
                self.sample(found)

    # ---- what was told

    def told(self, where: str, text: str) -> None:
        self._told.setdefault(where, []).append(text)
        self._chars += len(text)
        if self._chars > _BUFFER_CHARS:
            self._look()

    def log(self, log: Log) -> None:
        """The log of a server, from now on."""
        self._logs.append((log, 0))

    def found(self) -> list[str]:
        """What was found since it was last asked, and where."""
        for _ in range(len(self._logs)):
            log, seen = self._logs.pop(0)
            is_over, text = log._ended, log.text
            self.told("a server's log", text[seen:])
            if not is_over:
                self._logs.append((log, len(text)))
        self._look()
        found, self._found = self._found, []
        return found

    def _look(self) -> None:
        hidden = [*self._texts.values(), *self._keys.values()]
        for where, told in self._told.items():
            text = "\n".join(told)
            for ways in hidden:
                found = next((way for way in ways if way in text), None)
                if found is not None:
                    self._found.append(f"{where} has {found!r}: …{_around(text, found)}…")
        self._told.clear()
        self._chars = 0


def _hide(known: OrderedDict[str, set[str]], what: str, ways: set[str]) -> None:
    known[what] = ways
    known.move_to_end(what)
    if len(known) > _KEPT:
        known.popitem(last=False)


def _spellings(words: str) -> set[str]:
    """The ways in which programs write these words."""
    return {
        *(words, json.dumps(words)[1:-1], ascii(words)[1:-1], repr(words.encode())[2:-1]),
        *(quote(words), quote_plus(words), words.encode().decode("latin-1")),
    }


def _around(text: str, way: str) -> str:
    at = text.index(way)
    return text[max(0, at - 80) : at + len(way) + 20].replace("\n", " ")


def _said(body: bytes, media_type: str) -> Iterator[str | bytes]:
    """The strings and files of a body, however broken it is."""
    kind, _, boundary = media_type.partition("boundary=")
    if boundary:
        for part in body.split(b"--" + boundary.strip('"').encode()):
            head, _sep, value = part.partition(b"\r\n\r\n")
            yield value if b"filename=" in head else value.strip().decode("utf-8", "replace")
    elif "urlencoded" in kind:
        for _name, told in parse_qsl(body.decode("utf-8", "replace")):
            yield told
    else:
        yield from _strings(body)


def _strings(body: bytes) -> Iterator[str]:
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        yield from re.findall(r'"([^"\\]{16,})', body.decode("utf-8", "replace"))
        return
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
