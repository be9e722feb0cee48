"""Memory for what is mostly empty."""

from __future__ import annotations

import sys

import pytest

from providers.moss_tts_nano.memory import resident_bytes, sparse_zeros

_ROWS = 64
_ROW_BYTES = 4 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is resident")
def test_zeros_take_memory_where_they_are_written_to() -> None:
    before = resident_bytes()
    zeros = sparse_zeros((_ROWS, _ROW_BYTES // 4))
    zeros[:, 0] = 1
    after = resident_bytes()
    assert before is not None
    assert after is not None
    assert after - before < _ROWS * _ROW_BYTES // 16
    assert zeros[:, :2].tolist() == [[1, 0]] * _ROWS
