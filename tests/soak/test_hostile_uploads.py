"""The small size of `tests.soak.hostile_uploads`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.hostile_uploads import check, small
from tests.soak.outside import can_count


@pytest.mark.skipif(not can_count(), reason="what a process holds is counted in Linux's /proc")
def test_hostile_clips_are_refused_by_a_server_that_stays_as_it_was(tmp_path: Path) -> None:
    outcome = small(tmp_path)
    check(outcome)
    assert outcome.answers > 100
