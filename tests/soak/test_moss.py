"""The small size of `tests.soak.moss`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.moss import HEAP_BYTES, Outcome, Rest, check, survive
from tests.soak.outside import Held, can_count


@pytest.mark.timeout(180)  # ten seconds, and more where others use the machine
@pytest.mark.skipif(not can_count(), reason="what a process holds is counted in Linux's /proc")
def test_callers_of_the_local_engine_who_leave_at_random_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    check(survive(3, tmp_path, rounds=3), HEAP_BYTES)


def left_behind(*, files: tuple[int, ...], children: tuple[int, ...]) -> Outcome:
    """After each round; all else is as it should be."""
    outcome = Outcome(whole=5, left=5)
    for at, (opened, started) in enumerate(zip(files, children, strict=True)):
        held = Held(files=opened, threads=20, children=started, resident=1 << 28)
        outcome.rests.append(Rest(held, rows=0, frames=10.0 * at))
    return outcome


def test_children_that_start_when_a_sample_comes_are_not_left_behind() -> None:
    check(left_behind(files=(20, 20, 21), children=(1, 1, 2)))


def test_a_child_or_a_file_too_many_is_found() -> None:
    with pytest.raises(AssertionError, match="children"):
        check(left_behind(files=(21, 21, 22), children=(2, 2, 3)))
    with pytest.raises(AssertionError, match="files"):
        check(left_behind(files=(21, 21, 22), children=(2, 2, 2)))
