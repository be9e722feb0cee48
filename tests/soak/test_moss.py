"""The small size of `tests.soak.moss`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.moss import HEAP_BYTES, check, survive
from tests.soak.outside import can_count


@pytest.mark.skipif(not can_count(), reason="what a process holds is counted in Linux's /proc")
def test_callers_of_the_local_engine_who_leave_at_random_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    check(survive(3, tmp_path, rounds=3), HEAP_BYTES)
