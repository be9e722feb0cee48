"""What observers and the log are told of jobs."""

from __future__ import annotations

import time
import traceback

from router.contract.record import JobChanged
from router.jobs.job import Job


def changed(job: Job) -> JobChanged:
    """A job that has come in, or has ended."""
    until_ms = job.ended_ms if job.ended_ms is not None else time.time_ns() // 1_000_000
    seconds = max(0.0, (until_ms - job.created_ms) / 1000)
    return JobChanged(job.state, job.model, seconds, job.provider, float(job.cost or 0.0))


def place_of(error: Exception) -> dict[str, str]:
    """What may be logged of an unexpected error: its words could hold the text of a job."""
    where = "".join(traceback.format_tb(error.__traceback__))
    return {"error": type(error).__name__, "where": where}
