"""The small size of `tests.soak.book`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.soak.book import check, survive
from tests.soak.outside import can_count


@pytest.mark.timeout(180)  # ten seconds, and more where others use the machine
@pytest.mark.skipif(not can_count(), reason="memory is read from Linux's /proc")
@pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("format", ["opus", "mp3"])
def test_a_long_text_takes_no_more_memory_than_a_short_one(format: str, tmp_path: Path) -> None:
    check(survive(tmp_path, 1_500, format), survive(tmp_path, 15_000, format))
