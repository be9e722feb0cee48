"""Brings a store up to date, once, however many processes start at the same moment."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from router.store.databases import Database
from router.store.errors import StoreUnusable
from router.store.passing import is_passing
from router.store.schema import HEAD

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_228_836_420_901
"""The name of our advisory lock on PostgreSQL: any number that nobody else uses there."""
_VERSION = sa.table("alembic_version", sa.column("version_num"))


async def bring_up_to_date(
    database: Database, migrations: Path = MIGRATIONS, head: str = HEAD
) -> None:
    """All steps in one transaction that one process holds at a time: either all are taken or none.

    Raises:
        StoreUnusable: a step failed, or the store is from a newer router.
    """
    if await database.run(_version) == head:
        return
    try:
        await database.run(partial(_upgrade, migrations))
    except DBAPIError as error:
        if is_passing(error):
            raise
        raise StoreUnusable(f"a migration of the store failed: {error.orig}") from error


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    version: str | None = connection.scalar(sa.select(_VERSION.c.version_num))
    return version


def _upgrade(migrations: Path, connection: sa.Connection) -> None:
    """Alembic without its files: no ini, whose logging set-up would silence ours, and no env.py.
    It is imported only where there is something to do: 85 ms."""
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    if connection.dialect.name == "postgresql":  # on SQLite the transaction itself is the lock
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)

    def steps(revision: str, _: object) -> object:
        return script._upgrade_revs("head", revision)  # noqa: SLF001  # as alembic.command does

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=connection, render_as_batch=True)
        try:
            environment.run_migrations()
        except CommandError as error:
            raise StoreUnusable(
                "the store is from a newer version of the router: install that version"
            ) from error
