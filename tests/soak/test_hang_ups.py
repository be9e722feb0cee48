"""The small size of `tests.soak.hang_ups`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.hang_ups import check, survive
from tests.soak.outside import can_count


@pytest.mark.skipif(not can_count(), reason="what a process holds is counted in Linux's /proc")
def test_who_hangs_up_leaves_nothing_behind_and_is_spoken_to_no_more(tmp_path: Path) -> None:
    outcome = survive(72, tmp_path, rounds=2)
    check(outcome)
    assert {"before the first sound", "in mid-speech"} <= set(outcome.moments)
