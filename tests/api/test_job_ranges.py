"""A part of a file is what the RFC says it is, and nothing but a part can be had."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.api.job_ranges import Part, wanted

SIZE = 1_000
WHOLE = Part(0, SIZE)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", Part(0, 10, is_range=True)),
        ("bytes=990-", Part(990, 10, is_range=True)),
        ("bytes=-10", Part(990, 10, is_range=True)),
        ("bytes=0-", Part(0, SIZE, is_range=True)),
        ("bytes=-5000", Part(0, SIZE, is_range=True)),
        (" bytes=999-5000 ", Part(999, 1, is_range=True)),
        ("bytes=1000-", None),
        ("bytes=5000-6000", None),
        ("bytes=-0", None),
        (None, WHOLE),
        ("", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=9-3", WHOLE),
        ("bytes=0-1,5-6", WHOLE),
        ("items=0-9", WHOLE),
        ("bytes=١-٢", WHOLE),
        ("bytes=" + "9" * 40 + "-", WHOLE),
    ],
)
def test_one_range_is_a_part_and_anything_else_is_the_whole(
    asked: str | None, part: Part | None
) -> None:
    assert wanted(asked, SIZE) == part


@given(header=st.text(max_size=30) | st.from_regex(r"bytes=\d*-\d*", fullmatch=True))
def test_no_header_leads_out_of_the_file(header: str) -> None:
    part = wanted(header, SIZE)

    assert part is None or (part.first >= 0 and 0 < part.length <= SIZE - part.first)


def test_a_part_says_where_it_lies() -> None:
    assert Part(990, 10, is_range=True).header(SIZE) == b"bytes 990-999/1000"
