"""Load on one address for a bounded time: by `wrk` where it is installed, else by a client of
our own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from tests.bench import client
from tests.bench.upstream import sent_at_ns

_WRK = shutil.which("wrk")
_SCRIPT = Path(__file__).with_name("post.lua")
_MOST = 1_000_000
"""Requests in one load of our own client."""

GENERATOR = "wrk" if _WRK else "tests.bench.client"


class Load(msgspec.Struct, frozen=True):
    """What came of one load. `requests` were answered, `failed` were not, or not with a 200."""

    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float


def load(url: str, body: bytes, *, concurrency: int, seconds: float) -> Load:
    """Post `body` over `concurrency` kept connections, each as fast as it is answered.

    Raises:
        RuntimeError: a request failed, so that the figures would mean nothing.
    """
    if _WRK:
        done = _by_wrk(_WRK, url, body, concurrency, seconds)
    else:
        done = uvloop.run(_by_client(url, body, concurrency, seconds))
    if done.failed or not done.requests:
        raise RuntimeError(f"{done.failed} requests of {done.requests} to {url} failed")
    return done


def check(url: str, body: bytes, expected_bytes: int) -> None:
    """Ask once. Raises RuntimeError unless the answer is a 200 of that many bytes."""
    heard = uvloop.run(_asked(url, body, 1))[0]
    if (heard.status, heard.body_bytes) != (200, expected_bytes):
        raise RuntimeError(f"{url} answered {heard.status} with {heard.body_bytes} bytes")


def first_byte_delays_ms(url: str, body: bytes, times: int) -> list[float]:
    """How long after the slow upstream had sent its first audio it was here."""
    answers = uvloop.run(_asked(url, body, times))
    return [(heard.first_ns - sent_at_ns(heard.head)) / 1e6 for heard in answers]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _by_wrk(wrk: str, url: str, body: bytes, concurrency: int, seconds: float) -> Load:
    # wrk counts whole seconds only.
    command = [wrk, "-t1", f"-c{concurrency}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout=20s", f"--script={_SCRIPT}", url, "--", body.decode()]
    told = subprocess.run(command, capture_output=True, check=True, timeout=seconds + 40)
    return msgspec.json.decode(told.stdout.splitlines()[-1], type=Load)


async def _by_client(url: str, body: bytes, concurrency: int, seconds: float) -> Load:
    request = client.post(url, body)
    started = time.monotonic()
    latencies: list[float] = []
    failed = 0

    async def keep_asking() -> None:
        nonlocal failed
        async with client.connected(url) as caller:
            while time.monotonic() < started + seconds and len(latencies) < _MOST:
                heard = await caller.ask(request)
                latencies.append((heard.last_ns - heard.asked_ns) / 1e6)
                failed += heard.status != 200

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(keep_asking())
    return Load(
        requests=len(latencies),
        failed=failed,
        seconds=time.monotonic() - started,
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
    )


async def _asked(url: str, body: bytes, times: int) -> list[client.Heard]:
    async with client.connected(url) as caller:
        return [await caller.ask(client.post(url, body)) for _ in range(times)]
