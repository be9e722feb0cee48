"""Sends a marker in every place that a request has, with the logs as a server has them.

`python -m tests.api.telltale json|console FOLDER`: the log is on stderr, a word on stdout.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from router.contract.errors import Broken
from router.telemetry import logs
from router.testing.script import Raise, Script, Tone
from tests.api.served import MARKER, NANO, SHARED, Served, served


def send_all(api: Served) -> str:
    """Everything that was answered, with its headers."""
    fields = {"input": MARKER, "instructions": MARKER, "extra": {MARKER: MARKER}}
    sent: list[dict[str, Any]] = [
        {"json": fields},
        {"json": {**fields, "voice": 5}},
        {"json": {**fields, "speed": 99}},
        {"json": {**fields, "sample_rate": 10**400}},
        {"json": {**fields, "model": "tts-1"}},
        {"json": {**fields, "input": MARKER * 400}},
        {"data": {**fields, "extra": MARKER}},
        {"content": f'{{"input": "{MARKER}'.encode()},
        {"data": {"input": MARKER, "extra": "[" * 5_000}},
        {"data": {"input": MARKER}, "files": {"prompt_audio": ("x", MARKER.encode())}},
        {"data": {"input": MARKER}, "files": {"other": ("x", MARKER.encode())}},
    ]
    headers = {"authorization": f"Bearer {MARKER}", "x-api-key": MARKER}
    told = ""
    for path in (SHARED, NANO, "/v1/route/explain"):
        for one in sent:
            answer = api.post(path, headers=headers, **one)
            told += f"{answer.headers}"
            told += answer.text if answer.status_code != 200 else ""
    for script in (
        Script(entering=(Raise(RuntimeError(MARKER)),)),
        Script(speaking=(Tone(0.1), Raise(Broken(MARKER)))),
        Script(leaving=(Raise(RuntimeError(MARKER)),)),
    ):
        api.able.play = script
        told += api.asks(input=MARKER, response_format="pcm", model="choosy").text
        told += f"{api.asks(input=MARKER).headers}"
    return told


def main(form: str, folder: str) -> None:
    logs.set_up(json=form == "json")
    with served(Path(folder)) as api:
        told = send_all(api)
        try:
            _fail(MARKER)
        except RuntimeError:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    sys.stdout.write("an answer tells\n" if MARKER in told else "no answer tells\n")


def _fail(text: str) -> None:
    """A traceback with the values of local names would tell the text."""
    raise RuntimeError("a library has a bug")


if __name__ == "__main__":
    main(*sys.argv[1:])
