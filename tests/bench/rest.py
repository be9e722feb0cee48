"""What the router holds when nobody asks: with the default config, before and after it spoke."""

from __future__ import annotations

import sys
import time
import urllib.request
from pathlib import Path

import msgspec

from tests.bench.contenders import AT_ONCE, environment, serve
from tests.bench.processes import Memory, Server, running

_SETTLED_S = 1.0
"""Long enough for what a start or a speech leaves to be done."""


def memory_at_rest(folder: Path) -> dict[str, Memory]:
    """Start the default server and look twice, each time when it has come to rest."""
    command = [sys.executable, "-m", *serve()]
    with running(command, folder / "rest.log", environment(folder)) as server:
        seen = {"after the start": _at_rest(server)}
        _speak(server)
        seen["after the first speech by espeak"] = _at_rest(server)
    return seen


def _at_rest(server: Server) -> Memory:
    time.sleep(_SETTLED_S)
    return server.memory()


def _speak(server: Server) -> None:
    body = msgspec.json.encode({"input": "Hello, welcome.", "voice": "nova"})
    request = urllib.request.Request(server.address + AT_ONCE, body)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        if not answer.read().startswith(b"RIFF"):
            raise RuntimeError("the default server did not speak")
