"""A real server process: started on a free port, watched by its log, ended by a signal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import yaml

_Found = TypeVar("_Found")

ROOT = Path(__file__).parents[2]
START_S = 60.0
STOP_S = 20.0
_ADDRESS = re.compile(r"tts-router serves (http://\S+)/v1 ")
_KEPT = ("PATH", "LANG", "SYSTEMROOT", "TMPDIR")
"""No key, no proxy and no config of whoever runs the tests reaches the server."""
_OFFLINE = {"HF_HUB_OFFLINE": "1"}
"""No test fetches a model."""


class Log:
    """The lines of a process's stderr, as they come."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="log", daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        with self._changed:
            return "".join(self._lines)

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the journal has written: one table for each request that was published."""
        with self._changed:
            lines = [line for line in self._lines if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["event"] == "speech"]

    def until(self, find: Callable[[Log], _Found | None], within_s: float = 10.0) -> _Found:
        """What `find` finds, as soon as it finds something; it blocks the thread."""
        found: _Found | None = None

        def has_it() -> bool:
            nonlocal found
            found = find(self)
            return bool(found) or self._ended

        with self._changed:
            self._changed.wait_for(has_it, within_s)
            assert found, f"it never came in the log:\n{self.text}"
            return found

    def record(self, request_id: str) -> dict[str, Any]:
        """The record of a request, as soon as it is published."""
        return self.until(
            lambda log: first(r for r in log.records if r["request_id"] == request_id)
        )

    def close(self) -> None:
        """Once the process has ended."""
        self._reader.join(STOP_S)
        assert not self._reader.is_alive(), "somebody still holds the server's stderr: a child?"
        self._pipe.close()

    def _read(self) -> None:
        for line in self._pipe:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class ServerProcess:
    """A server that runs on its own; its address and its log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self._process = process
        self.log = Log(process.stderr)
        self.url = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def started(self) -> ServerProcess:
        """Wait for the start line, which is written when it is ready."""
        self.url = self.log.until(_address, START_S)
        return self

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def status(self, within_s: float = STOP_S) -> int:
        """Its exit status, once it has ended by itself."""
        return self._process.wait(within_s)

    def stop(self) -> None:
        """Ask it to end, and insist."""
        if self._process.poll() is None:
            self.terminate()
        try:
            self.status()
        finally:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait(STOP_S)
            self.log.close()


@contextmanager
def serving(
    config: Mapping[str, Any],
    folder: Path,
    *,
    plugins: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[ServerProcess]:
    """`tts-router serve` with this config, whose files go into `folder`.

    `plugins` are modules that the server finds as if they were installed. It has ended when the
    block is left.
    """
    file = folder / "router.yaml"
    file.write_text(yaml.safe_dump(_at_home(config, folder), allow_unicode=True), "utf-8")
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    env |= {"HOME": str(folder), "PYTHONPATH": _installed(plugins, folder), **_OFFLINE}
    env |= environ or {}
    command = (sys.executable, "-m", "router", "serve", "--port", "0", "--log", "json")
    process = subprocess.Popen(
        [*command, "--config", str(file)],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    server = ServerProcess(process)
    try:
        yield server.started()
    finally:
        server.stop()


def as_shipped() -> dict[str, Any]:
    """`config/router.yaml`, as somebody has it who has just installed the router."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config" / "router.yaml").read_text("utf-8"))
    return config


def first(found: Iterator[_Found]) -> _Found | None:
    return next(found, None)


def _address(log: Log) -> str | None:
    match = _ADDRESS.search(log.text)
    return match[1] if match else None


def _at_home(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    places = {"data_dir": str(folder / "data"), "cache_dir": str(folder / "cache")}
    return {**config, "server": {**config.get("server", {}), **places}}


def _installed(plugins: Sequence[str], folder: Path) -> str:
    """A `PYTHONPATH` on which the modules are an installed distribution with entry points."""
    site = folder / "plugins"
    about = site / "tts_router_test_plugins-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tts-router-test-plugins\nVersion: 1.0\n", "utf-8"
    )
    points = [f"{module.rpartition('.')[2]} = {module}" for module in plugins]
    (about / "entry_points.txt").write_text("\n".join(["[tts_router]", *points, ""]), "utf-8")
    return os.pathsep.join([str(site), str(ROOT)])
