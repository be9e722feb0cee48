"""A browser that is told what to do over the DevTools protocol, in a few lines of our own."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
START_S = 40.0
WITHIN_S = 10.0
_MESSAGE_BYTES = 64 * 1024 * 1024
_FLAGS = (
    *("--headless=new", "--disable-gpu", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "--hide-scrollbars", "--disable-dev-shm-usage"),
)


@contextmanager
def browser(folder: Path) -> Iterator[int]:
    """A browser of its own, whose files go into `folder`; its port. It has ended at the end."""
    assert CHROMIUM is not None
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    flags = [*_FLAGS, f"--user-data-dir={folder}", *(["--no-sandbox"] if is_root else [])]
    process = subprocess.Popen(
        [CHROMIUM, *flags, "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _port(process, folder / "DevToolsActivePort")
    finally:
        process.terminate()
        try:
            process.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(WITHIN_S)


def _port(process: subprocess.Popen[bytes], file: Path) -> int:
    """It writes where it listens into a file, whose second line ends the writing."""
    for _ in range(int(START_S / 0.05)):
        if file.exists() and len(lines := file.read_text().splitlines()) == 2:
            return int(lines[0])
        assert process.poll() is None, "the browser did not start"
        time.sleep(0.05)
    raise AssertionError("the browser did not start in time")


class Tab:
    """One page. What happens in it is kept in `events`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()
        self.events: list[tuple[str, dict[str, Any]]] = []

    async def call(self, method: str, **params: Any) -> Any:
        """A method of the protocol, and what it gives."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(WITHIN_S):
            return await answer

    async def js(self, expression: str) -> Any:
        """What an expression gives, once it is there."""
        found = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until_js(self, condition: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(WITHIN_S):
            while not await self.js(condition):  # noqa: ASYNC110  # a page cannot set an event here
                await asyncio.sleep(0.02)

    async def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self.events.clear()
        await self.call("Page.navigate", url=url)
        await self.until(lambda tab: bool(tab.told("Page.loadEventFired")))

    async def until(self, condition: Callable[[Tab], bool]) -> None:
        """Wait for what becomes true with an event."""
        async with asyncio.timeout(WITHIN_S):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    def told(self, method: str) -> list[dict[str, Any]]:
        """The events of this name, so far."""
        return [params for name, params in self.events if name == method]

    async def listen(self) -> None:
        """Take what the browser says; it ends with the line."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" not in told:
                self.events.append((told["method"], told["params"]))
                self._changed.set()
            elif "error" in told:
                self._answers.pop(told["id"]).set_exception(
                    AssertionError(told["error"]["message"])
                )
            else:
                self._answers.pop(told["id"]).set_result(told["result"])


@asynccontextmanager
async def tab(port: int) -> AsyncIterator[Tab]:
    """A new page in the browser at this port, which is closed at the end."""
    async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}") as session:
        async with session.put("/json/new?about:blank") as answer:
            about = await answer.json()
        url = about["webSocketDebuggerUrl"]
        async with session.ws_connect(url, max_msg_size=_MESSAGE_BYTES) as socket:
            made = Tab(socket)
            listener = asyncio.create_task(made.listen(), name="devtools")
            try:
                for domain in ("Page", "Runtime", "Network", "Log"):
                    await made.call(f"{domain}.enable")
                yield made
            finally:
                listener.cancel()
                await asyncio.gather(listener, return_exceptions=True)
        async with session.get(f"/json/close/{about['id']}"):
            pass
