"""The server to which jobs are handed, as its callers meet it while it comes and goes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.soak.reader import READER
from tests.support.process import ServerProcess, serving

PATH = "/v1/audio/speech/jobs"
PATIENCE_S = 600.0
_AGAIN_S = 0.5
_STARTS = 5
_AWAY = (httpx.HTTPError, RuntimeError)
"""What whoever asks meets while it is killed; the second from a client that is closed meanwhile."""


class Door:
    """It may be killed and opened again; its address is then another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._times = 0
        self._stack = ExitStack()
        self._server: ServerProcess | None = None
        self._client: httpx.AsyncClient | None = None
        self.config: dict[str, Any] = {}
        self.plugins = ""

    async def open(self, config: dict[str, Any]) -> None:
        for _ in range(_STARTS - 1):
            with suppress(AssertionError):  # so many processes, so few cores: not up in time
                await self._open(config)
                return
            await asyncio.to_thread(self._stack.close)
        await self._open(config)

    async def _open(self, config: dict[str, Any]) -> None:
        self._times += 1
        home = self._folder / f"door-{self._times}"
        home.mkdir()
        self._stack = ExitStack()
        self._server = await asyncio.to_thread(
            self._stack.enter_context, serving(config, home, plugins=[READER])
        )
        if not self.config:
            self.config, self.plugins = config, str(home / "plugins")
        self._client = httpx.AsyncClient(base_url=self._server.url, trust_env=False, timeout=60)

    async def kill(self) -> None:
        assert self._server is not None
        os.kill(self._server.pid, signal.SIGKILL)
        await self.close()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        await asyncio.to_thread(self._stack.close)

    async def taken(self, key: str, body: dict[str, Any], *, once: str) -> list[dict[str, Any]]:
        """Hand in until it is taken: whoever gets no answer asks again under the same name."""
        headers = {"authorization": f"Bearer {key}", "idempotency-key": once}
        end = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < end, "the jobs are not taken"
            with suppress(*_AWAY):
                answer = await self._post(body, headers)
                if answer.status_code == 202:
                    data: list[dict[str, Any]] = answer.json()["data"]
                    return data
                assert answer.status_code in {429, 503}, answer.text
            await asyncio.sleep(_AGAIN_S)

    async def audio(self, key: str, id: str) -> bytes | None:
        """The file of a job; `None`: it is not there."""
        for _ in range(60):
            with suppress(*_AWAY):
                assert self._client is not None
                answer = await self._client.get(
                    f"{PATH}/{id}/audio", headers={"authorization": f"Bearer {key}"}
                )
                if answer.status_code == 200:
                    return answer.content
                if answer.status_code == 404:
                    return None
            await asyncio.sleep(_AGAIN_S)
        return None

    async def _post(self, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        assert self._client is not None
        return await self._client.post(PATH, json=body, headers=headers)
