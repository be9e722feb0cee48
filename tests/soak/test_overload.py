"""The small size of `tests.soak.overload`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.outside import can_count
from tests.soak.overload import check, survive


@pytest.mark.skipif(not can_count(), reason="what a process holds is counted in Linux's /proc")
def test_too_many_callers_are_served_in_time_or_told_when_to_come_again(tmp_path: Path) -> None:
    outcome = survive(2, tmp_path)
    check(outcome)
    assert len(outcome.accepted) < len(outcome.served)
