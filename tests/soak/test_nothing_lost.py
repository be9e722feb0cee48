"""The small size of `tests.soak.nothing_lost`."""

from __future__ import annotations

from pathlib import Path

from tests.soak.nothing_lost import check, survive


def test_no_word_is_lost_or_heard_twice_whoever_dies(tmp_path: Path) -> None:
    check(survive(30, tmp_path))
