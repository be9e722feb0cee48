"""The small size of `tests.soak.jobs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.job_found import check
from tests.soak.jobs import Size, survive
from tests.support import postgres

SMALL = Size(
    jobs=30,
    workers=2,
    kills=2,
    crashes=1,
    deadly=0,
    keep_s=30,
    max_bytes=128 << 20,
    lease_s=5,
    patience_s=120,
)


@pytest.mark.timeout(180)  # twenty seconds, and more where others use the machine
def test_no_job_of_an_sqlite_store_is_lost_whoever_is_killed(tmp_path: Path) -> None:
    found = survive(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, SMALL)
    check(found)
    assert found.kills >= 2


@pytest.mark.timeout(180)
@pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing())
def test_no_job_of_a_postgresql_store_is_lost_whoever_is_killed_and_whenever_it_crashes(
    tmp_path: Path,
) -> None:
    with postgres.running() as server:
        found = survive(server.emptied(), tmp_path, SMALL, crash=server.crash)
    check(found)
    assert found.kills >= 2
    assert found.crashes == 1
