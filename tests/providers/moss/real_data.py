"""The real tokenizer and fixtures, where somebody has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def real(name: str) -> Path:
    """A file of the real model's small data; the test is skipped where there is none."""
    folder = os.environ.get("TTS_TEST_DATA")
    if not folder:
        pytest.skip("TTS_TEST_DATA names no folder: it holds the real tokenizer and fixtures")
    return Path(folder) / "moss" / name
