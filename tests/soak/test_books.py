"""The small size of `tests.soak.books`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.books import check, survive
from tests.support import postgres


@pytest.mark.timeout(180)
def test_an_sqlite_store_balances_whoever_is_killed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    found = survive(url, tmp_path, operations=1_200, processes=3, kill_every=300)
    check(found)
    assert found.kills >= 3


@pytest.mark.timeout(180)  # ten seconds, and more where others use the machine
@pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing())
def test_a_postgresql_store_balances_whoever_is_killed_and_whenever_it_crashes(
    tmp_path: Path,
) -> None:
    with postgres.running() as server:
        found = survive(
            server.emptied(),
            tmp_path,
            operations=1_200,
            processes=3,
            kill_every=300,
            crash=server.crash,
            crash_every=500,
        )
    check(found)
    assert found.kills >= 3
    assert found.crashes >= 2
