"""What observers are told of jobs."""

from __future__ import annotations

import time

from router.contract.record import JobChanged
from router.jobs.job import Job


def changed(job: Job) -> JobChanged:
    """A job that has come in, or has ended."""
    until_ms = job.ended_ms if job.ended_ms is not None else time.time_ns() // 1_000_000
    seconds = max(0.0, (until_ms - job.created_ms) / 1000)
    return JobChanged(job.state, job.model, seconds, job.provider, float(job.cost or 0.0))
