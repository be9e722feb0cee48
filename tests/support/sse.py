"""Speech that was told in server-sent events."""

from __future__ import annotations

import base64
import json
from typing import Any


def events(body: bytes) -> list[dict[str, Any]]:
    """The events of a body, without one that is cut."""
    whole = body.rpartition(b"\n\n")[0].decode()
    lines = [line for line in whole.split("\n") if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def told_audio(body: bytes) -> bytes:
    """The audio of all events."""
    told = [event for event in events(body) if event["type"] == "speech.audio.delta"]
    return b"".join(base64.b64decode(event["audio"]) for event in told)
