"""What holds for every test: nothing hidden is told, and nothing is skipped where nothing may be
missing (`TTS_NO_SKIPS=1`)."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

pytest_plugins = ["tests.support.redaction"]

TEST_DATA = "TTS_TEST_DATA"
"""Downloads that not everybody has: skips whose reason names this variable stay skips."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    reason = _reason(report)
    if os.environ.get("TTS_NO_SKIPS") == "1" and reason is not None and TEST_DATA not in reason:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {reason}"
    return report


def _reason(report: pytest.TestReport) -> str | None:
    """Why a test was skipped; `None`: it was not."""
    told: Any = report.longrepr
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return None
    return str(told[2]) if isinstance(told, tuple) else str(told)
