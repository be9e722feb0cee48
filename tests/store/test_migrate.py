"""A store is brought up to date once, wholly, and by whoever comes first."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from router.contract.provider import Secret
from router.store.errors import StoreUnusable
from router.store.migrate import MIGRATIONS, bring_up_to_date
from router.store.opening import opened
from router.store.schema import HEAD, metadata, paid
from tests.store.test_databases import both
from tests.support.process import ROOT

PROCESSES = 8

STEP = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{revision}", {after}

def upgrade():
    {work}
"""

START = """
import asyncio, sys
from router.contract.provider import Secret
from router.store.opening import opened

async def start():
    sys.stdin.readline()
    async with opened(Secret(sys.argv[1])):
        print("up")

asyncio.run(start())
"""

NEWER = sa.text("UPDATE alembic_version SET version_num = '9999'")
VERSION = sa.text("SELECT version_num FROM alembic_version")


def tables(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


def differences(connection: sa.Connection) -> Any:
    return compare_metadata(MigrationContext.configure(connection), metadata)


def steps(folder: Path, *works: str) -> Path:
    """Migrations that do this, one after the other."""
    (folder / "versions").mkdir(parents=True)
    for at, work in enumerate(works):
        after = repr(str(at - 1)) if at else None
        step = STEP.format(revision=at, after=after, work=work)
        (folder / "versions" / f"m{at}.py").write_text(step)
    return folder


def test_eight_processes_that_start_at_once_on_an_empty_store_all_come_up(
    store_url: Secret,
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", START, store_url.reveal()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ends = [process.communicate(timeout=40) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [out for out, _ in ends] == ["up\n"] * PROCESSES, ends


async def test_the_migrations_make_the_tables_that_the_code_knows(store_url: Secret) -> None:
    async with opened(store_url), both(store_url) as (write, _):
        assert await write.run(differences) == []


def test_the_code_knows_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_a_migration_that_fails_half_way_leaves_nothing_behind(
    store_url: Secret, tmp_path: Path
) -> None:
    make = "op.create_table('made', sa.Column('id', sa.Integer))"
    change = "with op.batch_alter_table('made') as t: t.add_column(sa.Column('more', sa.Integer))"
    fail = "op.create_table('half', sa.Column('id', sa.Integer)); op.execute('SELECT no_such')"
    folder = steps(tmp_path / "failing", make, change, fail)
    async with both(store_url) as (write, read):
        with pytest.raises(StoreUnusable, match="no_such"):
            await bring_up_to_date(write, folder, "2")
        assert await read.run(tables) == set()


async def test_a_later_step_finds_what_an_earlier_one_left(
    store_url: Secret, tmp_path: Path
) -> None:
    make = "op.create_table('made', sa.Column('id', sa.Integer))"
    change = "with op.batch_alter_table('made') as t: t.add_column(sa.Column('more', sa.Integer))"
    async with both(store_url) as (write, read):
        await bring_up_to_date(write, steps(tmp_path / "one", make), "0")
        await bring_up_to_date(write, steps(tmp_path / "two", make, change), "1")
        found = await read.run(lambda found: sa.inspect(found).get_columns("made"))
    assert [column["name"] for column in found] == ["id", "more"]


async def test_what_a_key_has_paid_for_outlives_the_step_that_keeps_its_contents(
    store_url: Secret, tmp_path: Path
) -> None:
    (tmp_path / "versions").mkdir()
    for step in ("m0001_accounts.py", "m0002_jobs.py"):
        shutil.copy(MIGRATIONS / "versions" / step, tmp_path / "versions")
    row = sa.text("INSERT INTO paid (account, once, at_ms) VALUES ('me', 'a hash', 1)")
    async with both(store_url) as (write, read):
        await bring_up_to_date(write, tmp_path, "0002")
        await write.run(lambda found: found.execute(row))
        await bring_up_to_date(write)
        found = await read.run(lambda found: found.execute(sa.select(paid)).all())
    assert [tuple(one) for one in found] == [("me", "a hash", 1, None)]


async def test_a_store_of_a_newer_router_is_left_alone(store_url: Secret) -> None:
    async with opened(store_url):
        pass
    async with both(store_url) as (write, read):
        await write.run(lambda found: found.execute(NEWER))
        with pytest.raises(StoreUnusable, match="newer version"):
            async with opened(store_url):
                pass
        assert await read.run(lambda found: found.scalar(VERSION)) == "9999"


async def test_a_store_that_is_up_to_date_does_not_load_alembic(store_url: Secret) -> None:
    async with opened(store_url):
        pass
    script = START.replace('print("up")', 'print("alembic" in sys.modules)')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, store_url.reveal()),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(b"go\n"), 20)
    assert out == b"False\n"


def test_neither_the_store_nor_the_accounts_load_sqlalchemy_before_they_are_opened() -> None:
    script = (
        "import sys; from router.accounts import keys, ledger, opening, price, usage; "
        "print({'sqlalchemy', 'alembic', 'asyncpg'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
