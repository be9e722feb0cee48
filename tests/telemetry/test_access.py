"""Who may read the metrics, and where."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.registry import Kinds
from router.settings.load import BadConfig
from router.testing.scripted import Scripted, kind_of
from tests.telemetry.telling import Telling, configured, telling

KEY = "for-prometheus-alone-0123"
ADMIN = "the-admins-own-key-0123"
CALLER = "sk-of-a-caller-0123456789"
ACCOUNTS = {"admin_key": ADMIN, "keys": {"caller": {"key": CALLER}}}


async def read(it: Telling, key: str | None = None, **headers: str) -> int:
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return (await it.client.get("/metrics", headers=headers)).status_code


async def test_a_server_without_keys_shows_them_to_whom_it_answers(tmp_path: Path) -> None:
    async with telling(tmp_path, one=Scripted()) as it:
        assert await read(it) == 200
        assert await read(it, Host="rebound.example") == 403
        assert await read(it, Origin="https://elsewhere.example") == 403


async def test_with_a_key_of_their_own_they_take_it_and_no_other(tmp_path: Path) -> None:
    async with telling(tmp_path, {"metrics": {"key": KEY}}, one=Scripted()) as it:
        assert [await read(it), await read(it, "wrong"), await read(it, "")] == [401] * 3
        assert await read(it, KEY) == 200
        assert await read(it, **{"X-API-Key": KEY}) == 200
        assert KEY not in (await it.client.get("/metrics")).text


async def test_with_keys_they_are_the_admins_alone(tmp_path: Path) -> None:
    """Also on this machine: behind a proxy every caller is of this machine."""
    async with telling(tmp_path, {"accounts": ACCOUNTS}, one=Scripted()) as it:
        assert [await read(it), await read(it, "wrong"), await read(it, CALLER)] == [401] * 3
        assert await read(it, ADMIN) == 200


async def test_without_an_admin_key_nobody_reads_them_on_a_server_with_keys(tmp_path: Path) -> None:
    accounts = {"keys": ACCOUNTS["keys"]}
    async with telling(tmp_path, {"accounts": accounts}, one=Scripted()) as it:
        assert [await read(it), await read(it, CALLER)] == [403] * 2


async def test_the_metrics_key_opens_them_on_a_server_with_keys(tmp_path: Path) -> None:
    config = {"accounts": ACCOUNTS, "metrics": {"key": KEY}}
    async with telling(tmp_path, config, one=Scripted()) as it:
        assert [await read(it), await read(it, CALLER)] == [401] * 2
        assert await read(it, KEY) == 200


async def test_looking_at_them_too_often_is_refused(tmp_path: Path) -> None:
    limits = {"looking": {"requests_per_minute": 3}}
    config = {"accounts": {**ACCOUNTS, "limits": limits}, "metrics": {"key": KEY}}
    async with telling(tmp_path, config, one=Scripted()) as it:
        assert [await read(it, KEY) for _ in range(4)] == [200, 200, 200, 429]


async def test_where_they_are_off_there_is_nothing(tmp_path: Path) -> None:
    async with telling(tmp_path, {"metrics": {"enabled": False}}, one=Scripted()) as it:
        assert await read(it) == 404


async def test_on_a_port_of_their_own_they_are_there_and_nowhere_else(tmp_path: Path) -> None:
    port = _free_port()
    config = {"accounts": ACCOUNTS, "metrics": {"port": port}}
    async with (
        telling(tmp_path, config, one=Scripted()) as it,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as beside,
    ):
        assert await read(it, ADMIN) == 404
        found = await beside.get("/metrics")
        assert found.status_code == 200
        assert "tts_ready 1.0" in found.text
        assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
        for path in ("/", "/v1/models", "/health/ready", "/metrics/x"):
            assert (await beside.get(path)).status_code == 404
        assert (await beside.post("/metrics")).status_code == 405
        rebound = await beside.get("/metrics", headers={"Host": "rebound.example"})
        assert rebound.status_code == 403

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_of_their_own_may_take_a_key_too(tmp_path: Path) -> None:
    port = _free_port()
    config = {"metrics": {"port": port, "key": KEY}}
    async with (
        telling(tmp_path, config, one=Scripted()),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as beside,
    ):
        assert (await beside.get("/metrics")).status_code == 401
        with_key = {"Authorization": f"bearer  {KEY}"}
        assert (await beside.get("/metrics", headers=with_key)).status_code == 200
        assert (await beside.head("/metrics", headers=with_key)).status_code == 200


async def test_a_port_that_is_taken_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = {"metrics": {"port": taken.getsockname()[1]}}
        with pytest.raises(BaseExceptionGroup) as raised:
            async with telling(tmp_path, config, one=Scripted()):
                pass
    assert raised.group_contains(OSError, match="in use")


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        (
            {"port": 9464, "host": "0.0.0.0"},
            "metrics.host: is reachable from other machines",
        ),  # refused
        ({"key": "short"}, "metrics.key: is shorter than 16 characters"),
        ({"port": 70_000}, "metrics.port"),
        ({"path": "/x"}, "metrics.path"),
    ],
)
def test_what_would_be_read_by_too_many_is_no_config(
    table: dict[str, Any], wrong: str, tmp_path: Path
) -> None:
    kinds = Kinds({"one": kind_of("one", Scripted())}, {}, {})
    with pytest.raises(BadConfig, match=re.escape(wrong)):
        configured(tmp_path, kinds, {"metrics": table})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as line:
        port: int = line.getsockname()[1]
        return port
