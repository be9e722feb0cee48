"""The small size of `tests.soak.formats`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.formats import check, survive
from tests.soak.outside import can_count


@pytest.mark.timeout(180)  # twenty seconds, and more where others use the machine
@pytest.mark.skipif(not can_count(), reason="what a process holds is counted in Linux's /proc")
def test_callers_who_leave_at_random_leave_nothing_behind(tmp_path: Path) -> None:
    check(survive(4, tmp_path, rounds=4))
