"""What SQLite and PostgreSQL write differently."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

Insert = postgresql.Insert | sqlite.Insert


def insert_into(table: sa.Table, dialect: str) -> Insert:
    """An INSERT that can mind what is there; both have the same methods for it."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def insert_missing(table: sa.Table, dialect: str) -> Insert:
    """An INSERT that leaves alone what is there."""
    return insert_into(table, dialect).on_conflict_do_nothing()


class now_ms(GenericFunction[int]):  # noqa: N801  # a function of SQL
    """Unix milliseconds at the store when the statement began: the clocks of machines differ. It is
    constant in a statement, so that an index can be searched by it."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _sqlite(*_: object, **__: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgresql(*_: object, **__: Any) -> str:
    return "CAST(extract(epoch FROM statement_timestamp()) * 1000 AS BIGINT)"
