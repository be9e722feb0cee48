"""Which failures of a database pass by themselves."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

_LASTING = (IntegrityError, DataError, ProgrammingError)
_LASTING_STATES = {"28", "3D", "42"}
"""PostgreSQL's classes: no such user or password, no such database, no right or no such table."""
_PASSING_CODES = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
    *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_SCHEMA),
}


def is_passing(error: Exception) -> bool:
    """Whether the same may succeed later: the line broke, a lock took too long, a disk was full."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, _LASTING):
        return False
    if (code := getattr(driver, "sqlite_errorcode", None)) is not None:
        return code & 0xFF in _PASSING_CODES  # the rest of it says more of the same
    if state := getattr(driver, "sqlstate", None):
        return state[:2] not in _LASTING_STATES
    of_driver = type(error).__module__.partition(".")[0] == "asyncpg"
    return of_driver or isinstance(error, SQLAlchemyError | OSError)
