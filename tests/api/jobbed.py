"""A server process that takes jobs, and somebody with a key who hands them in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.process import ServerProcess, serving
from tests.support.scripts import SCRIPTED, UNJUDGED, models, scripted

JOBS = "/v1/audio/speech/jobs"
TTS, STATUS = "/tts", "/tts/status"
ENDED = ("completed", "error", "cancelled")
TEXT = "A sentence of some words, spoken by and by. "
ONCE = ("hasty", "quick")
"""Keys that may hand in one job a minute."""
KEYS = ("rich", "other", "poor", "lent", *ONCE)
WITHIN_S = 20.0


def key_of(name: str) -> str:
    return f"sk-of-somebody-{name}-0123456789"


def config(**jobs: Any) -> dict[str, Any]:
    """Speech costs a credit for a thousand characters."""
    given = models({"it": ("voice",), "slow": ("slow",), "no": ("refuses",), "off": ("far",)})
    given |= models({"long": ("long",)})
    for model in given.values():
        model["price"] = {"credits_per_1k_chars": 1.0}
    given |= {
        "url": {"same_as": "it", "tts": "url"},
        "url-slow": {"same_as": "slow", "tts": "url"},
        "url-no": {"same_as": "no", "tts": "url"},
        "audio": {"same_as": "it", "tts": "audio"},
        "short": {"same_as": "it", "tts": "audio", "max_input": 10},
        "nano": {"same_as": "it", "family": "leaper"},
    }
    keys: dict[str, dict[str, Any]] = {name: {"key": key_of(name)} for name in KEYS}
    keys["rich"]["credits"] = 1_000
    keys["poor"]["credits"] = 0.01
    for name in ONCE:
        keys[name]["limits"] = {"requests_per_minute": 1, "requests_burst": 1}
    keys["lent"]["models"] = ["it"]
    return {
        "integrity": UNJUDGED,
        "accounts": {"keys": keys},
        "jobs": {"at_once": 4, **jobs},
        "providers": {
            "voice": scripted(seconds=0.2, cloning=True),
            "long": scripted(seconds=5.0),
            "slow": scripted(seconds=0.7, pace=1.0),
            "refuses": scripted(fail="refused"),
            "far": {"kind": "leaper", "key": "${TTS_NO_SUCH_KEY}"},
        },
        "models": given,
    }


class _Client(httpx.Client):
    """Closed when nobody has it any more."""

    def __del__(self) -> None:
        self.close()


class Caller:
    """Somebody with a key, and what they are told."""

    def __init__(self, server: ServerProcess, name: str) -> None:
        self.server = server
        headers = {"x-api-key": key_of(name)} if name else {}
        self.client = _Client(
            base_url=server.url, headers=headers, timeout=WITHIN_S, trust_env=False
        )

    def hands_in(self, **body: Any) -> dict[str, Any]:
        """A job, in our own words; it is accepted."""
        answer = self.posts(**body)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def posts(self, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        least = {} if "items" in body else {"model": "it", "input": TEXT, "voice": "alloy"}
        return self.client.post(JOBS, json={**least, **body}, headers=headers)

    def asks(self, id: str) -> dict[str, Any]:
        answer = self.client.get(f"{JOBS}/{id}")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def until_ended(self, id: str) -> dict[str, Any]:
        """The job at its end."""
        until = time.monotonic() + WITHIN_S
        while (job := self.asks(id))["status"] not in ENDED:
            assert time.monotonic() < until, job
            time.sleep(0.05)
        return job

    def has_spoken(self, **body: Any) -> dict[str, Any]:
        """A job that has been completed."""
        job = self.until_ended(self.hands_in(**body)["id"])
        assert job["status"] == "completed", job
        return job


@contextmanager
def jobbed(
    folder: Path, *, keyed: bool = True, store: str | None = None, **jobs: Any
) -> Iterator[ServerProcess]:
    """The server, which has logged no error when the block is left."""
    written = config(**jobs)
    if not keyed:
        del written["accounts"]
    elif store is not None:
        written["accounts"]["store"] = store
    with serving(written, folder, plugins=[SCRIPTED]) as server:
        yield server
        errors = [line for line in server.log.text.splitlines() if '"level":"error"' in line]
        assert errors == []
