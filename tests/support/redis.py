"""A real Redis of its own: started on a free port, stopped, frozen or killed, ended by its id."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BINARY = shutil.which("redis-server") or shutil.which("valkey-server")
NO_REDIS = "there is no redis-server (or valkey-server) on this machine"

_START_S = 10.0
_STARTS = 5
"""A port that was free may be taken before the server has it."""


class RedisServer:
    """One server on loopback. It keeps nothing on disk, so what is killed has forgotten all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """On the port that it had before, if it had one."""
        if self.port:
            assert self._serves(self.port), self._log.read_text("utf-8", "replace")
            return
        for _ in range(_STARTS):
            port = _free_port()
            if self._serves(port):
                self.port = port
                return
        raise AssertionError(self._log.read_text("utf-8", "replace"))

    def kill(self) -> None:
        """At once, and without a last word."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait(_START_S)
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> bytes:
        """The raw beginning of the answer to one command: for what a test has to see itself."""
        with socket.create_connection(("127.0.0.1", self.port), _START_S) as line:
            line.sendall(_packed(words))
            return line.recv(65_536)

    @property
    def _log(self) -> Path:
        return self._folder / "redis.log"

    def _serves(self, port: int) -> bool:
        assert BINARY is not None, NO_REDIS
        keeps_nothing = ("--save", "", "--appendonly", "no", "--dir", str(self._folder))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [BINARY, "--port", str(port), "--bind", "127.0.0.1", *keeps_nothing],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if _answers(port, self._process):
            return True
        self.kill()
        return False


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A server that has ended when the block is left."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5) as line:
            line.sendall(_packed(("INFO", "server")))
            if f"process_id:{process.pid}\r\n".encode() in line.recv(65_536):
                return True  # and no other server that took the port before it
        time.sleep(0.005)
    return False


def _packed(words: tuple[str, ...]) -> bytes:
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return "".join([f"*{len(words)}\r\n", *parts]).encode()


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
        return port
