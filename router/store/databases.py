"""SQLite and PostgreSQL, each as a place where a piece of work is done in one transaction.

A piece of work is a plain function of a connection. On SQLite it runs in a thread: one hop for all
of its statements (aiosqlite hops for each, and needs three times the CPU). On PostgreSQL it runs
over asyncpg, in a greenlet.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from router.contract.provider import Secret
from router.store.errors import StoreUnusable

Answer = TypeVar("Answer")

READERS = 4
"""Connections for reading, in each process."""
CONNECT_S = 5.0
COMMAND_S = 15.0
"""For one statement, its wait for a lock included."""


class Database(Protocol):
    async def run(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        """What `work` answers, once its transaction is committed; if it raises, nothing was."""
        ...

    async def close(self) -> None: ...


def databases(url: Secret) -> tuple[Database, Database]:
    """One that writes, on one connection, and one that cannot.

    Raises:
        StoreUnusable: no such kind of store.
    """
    try:
        target = make_url(url.reveal())
    except ArgumentError:
        target = None  # no word of it: it may hold a password
    backend = target.get_backend_name() if target is not None else ""
    if target is not None and backend == "sqlite":
        return Sqlite(target, _WRITING, "BEGIN IMMEDIATE", 1), Sqlite(target, _READING, "BEGIN")
    if target is not None and backend in {"postgresql", "postgres"}:
        return Postgres(target, 1), Postgres(target, default_transaction_read_only="on")
    raise StoreUnusable("the store's URL begins with sqlite:/// or postgresql://")


class Sqlite:
    """A file of this machine, for any number of its processes.

    By default the driver begins a transaction too late and loses updates silently (tried: 200
    increments ended at 30). So ours begins each itself, and one that writes takes the lock at once.

    What is committed outlives the process, however it ends. A power cut may take the last moments
    with it, all of each transaction or nothing: `synchronous = FULL` would keep them, at several
    milliseconds for every commit. PostgreSQL keeps them.
    """

    def __init__(self, url: URL, pragmas: tuple[str, ...], begin: str, size: int = READERS) -> None:
        if not url.database or url.database == ":memory:":
            raise StoreUnusable("an SQLite store is a file: sqlite:////folder/store.db")
        _make(Path(url.database))
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="store")
        self._engine = sa.create_engine(
            url.set(drivername="sqlite+pysqlite"),
            connect_args={"timeout": COMMAND_S, "check_same_thread": False},
            pool_size=size,
            max_overflow=0,
            pool_timeout=COMMAND_S,
            hide_parameters=True,
        )

        @sa.event.listens_for(self._engine, "connect")
        def _connected(connection: Any, _: Any) -> None:
            connection.isolation_level = None
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")

        @sa.event.listens_for(self._engine, "begin")
        def _begun(connection: sa.Connection) -> None:
            connection.exec_driver_sql(begin)

    async def run(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, work)

    def _run(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        with self._engine.begin() as connection:
            return work(connection)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()


class Postgres:
    """A server, for any number of machines. Whatever happens to it, no statement and no lock of
    ours lasts for ever, also where a machine is gone without a word."""

    def __init__(self, url: URL, size: int = READERS, **settings: str) -> None:
        if find_spec("asyncpg") is None:
            raise StoreUnusable("a PostgreSQL store needs more: pip install 'tts-router[postgres]'")
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415  # greenlet: an extra

        sslmode = url.query.get("sslmode")  # libpq's word, which hosts of databases hand out
        self._engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg").difference_update_query(["sslmode"]),
            connect_args={
                **({"ssl": sslmode} if sslmode else {}),
                "timeout": CONNECT_S,
                "command_timeout": COMMAND_S,
                "server_settings": {**_LIMITS, **settings},
            },
            pool_size=size,
            max_overflow=0,
            pool_timeout=COMMAND_S,
            hide_parameters=True,
        )

    async def run(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()


_WRITING = (
    *("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"),
    "secure_delete = ON",  # what is erased is overwritten: the texts of jobs are among it
)
_READING = ("query_only = ON",)
_LIMITS = {
    "application_name": "tts-router",
    "lock_timeout": f"{COMMAND_S / 3:.0f}s",
    "idle_in_transaction_session_timeout": f"{COMMAND_S:.0f}s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def _make(file: Path) -> None:
    """The file, for its owner alone: SQLite itself would let everybody read it.

    One that is there is never opened: closing it would give up all locks that this process has on
    it (POSIX), and another one would then take away the log that ours is written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if not file.is_file() or not os.access(file, os.R_OK | os.W_OK):
            raise StoreUnusable(f"the store is no file that may be written: {file}") from None
    except OSError as error:
        raise StoreUnusable(f"the store cannot be made: {error}") from error
