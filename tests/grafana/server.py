"""A real Prometheus of its own: started on a free port, asked, ended by its id."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.support.wire import exchange

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
NO_PROMETHEUS = "there is no prometheus (with promtool) on this machine"

_START_S = 20.0
_SEEN_S = 20.0
_STARTS = 5
"""A port that was free may be taken before the server has it."""

Labels = Mapping[str, str]


class Prometheus:
    """A running server. What it scrapes and which rules it keeps stands in its config."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def values(self, expr: str, at: float | None = None) -> list[tuple[Labels, float]]:
        """The series that an expression has at a time (now, if none is given), and their values;
        what is no number is no value."""
        asked = {"query": expr} | ({"time": str(at)} if at is not None else {})
        answer = await exchange(self.url, f"/api/v1/query?{urlencode(asked)}")
        told: dict[str, Any] = answer.json
        assert told["status"] == "success", f"{expr}: {told.get('error')}"
        data = told["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        found = [(each["metric"], float(each["value"][1])) for each in data["result"]]
        return [(labels, value) for labels, value in found if not math.isnan(value)]

    async def value(self, expr: str, at: float | None = None) -> float:
        """What an expression with one series is worth."""
        found = await self.values(expr, at)
        assert len(found) == 1, f"{expr}: {found}"
        return found[0][1]

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule that it keeps, and how it is."""
        groups = (await exchange(self.url, "/api/v1/rules")).json["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def seen(self, routers: int) -> float:
        """Wait until all that is so now was scraped from so many, and every rule was reckoned with
        it; the time of which it can be asked for."""
        now = at = time.time()

        async def is_scraped() -> bool:
            return bool(await self.values(f"count(timestamp(up == 1) > {now}) == {routers}"))

        async def is_reckoned() -> bool:
            return all(_time(rule["lastEvaluation"]) > then for rule in await self.rules())

        async def is_whole() -> bool:
            """Where the machine is busy a scrape may come too late, and nothing is known of it."""
            nonlocal at
            at = time.time()
            return bool(await self.values(f"count(up == 1) == {routers}", at))

        assert await comes(is_scraped, _SEEN_S), "nothing is scraped"
        for _ in range(2):  # some rules look at what others have reckoned
            then = time.time()
            assert await comes(is_reckoned, _SEEN_S), "no rule is reckoned"
        assert await comes(is_whole, _SEEN_S), "somebody cannot be scraped"
        return at


@contextmanager
def prometheus(config: Mapping[str, Any], folder: Path) -> Iterator[Prometheus]:
    """A server with this config, whose files go into `folder`; it has ended with the block."""
    assert PROMETHEUS is not None, NO_PROMETHEUS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(config)), "utf-8")
    for _ in range(_STARTS):
        port = _free_port()
        process = _started(port, folder)
        try:
            if _answers(port, process):
                yield Prometheus(f"http://127.0.0.1:{port}")
                return
        finally:
            process.terminate()
            try:
                process.wait(_START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_START_S)
    raise AssertionError((folder / "log").read_text("utf-8", "replace"))


def promtool(*arguments: str, within: Path) -> subprocess.CompletedProcess[str]:
    """What promtool says, asked in this folder."""
    assert PROMTOOL is not None, NO_PROMETHEUS
    return subprocess.run(
        [PROMTOOL, *arguments], cwd=within, capture_output=True, text=True, check=False, timeout=50
    )


async def comes(condition: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Whether it comes true in time; Prometheus tells nobody, so it is asked."""
    end = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.2)
    return True


def _started(port: int, folder: Path) -> subprocess.Popen[bytes]:
    assert PROMETHEUS is not None
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1) as answer:
                if answer.status == 200:
                    return process.poll() is None
        except OSError:
            time.sleep(0.05)
    return False


def _time(written: str) -> float:
    return dt.datetime.fromisoformat(written).timestamp()


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
        return port
