"""Threads, workers and rows, by cores."""

from __future__ import annotations

import pytest

from providers.moss_tts_nano.engine.threads import MOST_ROWS, Staff, staff


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, Staff(workers=1, rows=8, threads=1, wide=1, codecs=1)),
        (2, Staff(workers=1, rows=8, threads=1, wide=2, codecs=2)),
        (3, Staff(workers=1, rows=12, threads=1, wide=3, codecs=3)),
        (4, Staff(workers=2, rows=8, threads=1, wide=4, codecs=3)),
        (8, Staff(workers=4, rows=8, threads=1, wide=4, codecs=5)),
        (32, Staff(workers=8, rows=4, threads=1, wide=4, codecs=8)),
    ],
)
def test_a_machine_of_so_many_cores(cores: int, expected: Staff) -> None:
    assert staff(cores) == expected


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 6, 8, 16, 32, 96, 256])
def test_hardly_more_threads_work_than_there_are_cores(cores: int) -> None:
    found = staff(cores)

    assert found.workers * found.threads + found.codecs <= cores + 1
    assert found.threads <= found.wide <= cores
    assert found.workers >= 1
    assert found.rows >= 2
    assert found.all_rows <= MOST_ROWS + found.workers


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 31])
def test_rows_that_were_asked_for_are_there_and_hardly_more(rows: int) -> None:
    for cores in (1, 2, 8, 32):
        found = staff(cores, rows)

        assert rows <= found.all_rows < rows + found.workers
        assert found.workers <= rows
