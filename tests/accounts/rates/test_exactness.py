"""The small size of `tests.soak.exactness`."""

from __future__ import annotations

import pytest

from tests.soak.exactness import check, hold, hurry
from tests.support.redis import BINARY, NO_REDIS


@pytest.mark.skipif(BINARY is None, reason=NO_REDIS)
def test_what_passes_over_several_processes_is_what_the_limits_say() -> None:
    """To 6 %: one text that is still waiting at the end is 1 % of so short a time, and so are 30 ms
    in which the machine does something else. It may do so for longer; hardly twice."""
    passed = min((hurry(3, processes=3, tasks=8) for _ in range(2)), key=lambda one: one.off)
    held = hold(5, processes=3, tasks=10, lease_s=2)
    check(passed, held, tolerance=0.06)
