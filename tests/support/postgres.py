"""A real PostgreSQL: a cluster in a temporary folder, on a free port, ended by its id."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_USER = "postgres"
_START_S = 30.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # what we kill is processes; the kernel keeps what they wrote
    "max_connections": "150",
}


def missing() -> str:
    """Why there is no PostgreSQL here; empty if there is one."""
    if _programs() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0 and not _has_user():
        return "PostgreSQL will not run as root, and there is no user postgres"
    return ""


class Postgres:
    """A server that can be restarted; its port stays the same."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self._folder = folder
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        with self._log.open("ab") as log:
            settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", self._folder / "data", f"-p{self.port}", *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=_owner(),
                cwd=self._folder,
            )
        end = time.monotonic() + _START_S
        while not _answers(self.url()):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """`SIGINT` ends every session first, `SIGQUIT` everything at once, as in a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_S)
            self._process = None

    def crash(self) -> None:
        """Down without a checkpoint, and up again by what its log has."""
        self.stop(signal.SIGQUIT)
        self.start()

    def url(self, database: str = _USER) -> str:
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def emptied(self) -> str:
        """The URL of the database, after everything that was in it is gone: much cheaper than a
        new one, which is a thousand files."""
        asyncio.run(_execute(self.url(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        return self.url()


@contextmanager
def running() -> Iterator[Postgres]:
    """A server while the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="tts-postgres-"))
    try:
        if (owner := _owner()) is not None:
            shutil.chown(folder, owner)
        flags = ("--no-sync", "--auth=trust", f"--username={_USER}", "--encoding=UTF8")
        subprocess.run(
            [_program("initdb"), "-D", folder / "data", *flags, "--no-instructions"],
            check=True,
            capture_output=True,
            user=owner,
            cwd=folder,
            timeout=_START_S,
        )
        server = Postgres(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # nobody reads what a checkpoint would write
    finally:
        shutil.rmtree(folder)


def _answers(url: str) -> bool:
    try:
        asyncio.run(_execute(url, "SELECT 1"))
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    return True


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=5, ssl=False)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _programs() -> Path | None:
    """The folder of the newest version that is installed."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    folders = [path for place in _PLACES for path in Path("/").glob(place.lstrip("/"))]
    return max((path for path in folders if (path / "initdb").exists()), default=None)


def _program(name: str) -> Path:
    folder = _programs()
    assert folder is not None, missing()
    return folder / name


def _owner() -> str | None:
    """PostgreSQL refuses to run as root."""
    return _USER if os.geteuid() == 0 else None


def _has_user() -> bool:
    import pwd  # noqa: PLC0415  # not on Windows

    return any(entry.pw_name == _USER for entry in pwd.getpwall())


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
