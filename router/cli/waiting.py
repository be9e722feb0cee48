"""Waits for a job of a running router, and writes its audio into a file."""

from __future__ import annotations

import datetime as dt
import sys
import time
from pathlib import Path
from typing import BinaryIO

import click
import httpx

from router.api.job_info import JobInfo
from router.cli.asking import Asking
from router.jobs.job import ENDED

PATH = "/v1/audio/speech/jobs"
_ASK_EVERY_S = 1.0
_PATIENCE_S = 120.0
"""How long a router may be out of reach while somebody waits: a job outlives its restart."""


def waited_for(router: Asking, job: JobInfo) -> JobInfo:
    """The job at its end."""
    total = job.progress.characters_total
    try:
        with click.progressbar(length=total, label=job.id, file=sys.stderr) as bar:
            shown = 0
            while job.status not in ENDED:
                time.sleep(_ASK_EVERY_S)
                job = _asked(router, job)
                bar.update(max(0, job.progress.characters - shown))
                shown = max(shown, job.progress.characters)
            bar.update(total - shown if job.status == "completed" else 0)
    except KeyboardInterrupt:
        click.echo(f"\nThe job goes on: tts-router jobs show {job.id}", err=True)
        raise
    if job.error is not None:
        raise click.ClickException(f"{job.id} was not spoken: {job.error.message}")
    if job.status != "completed":
        raise click.ClickException(f"{job.id} was cancelled")
    return job


def _asked(router: Asking, job: JobInfo) -> JobInfo:
    """The job now, asked for again while the router is out of reach."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            found = router.told(JobInfo, "GET", f"{PATH}/{job.id}")
        except httpx.TransportError:
            if time.monotonic() >= until:
                raise
            time.sleep(_ASK_EVERY_S)
            continue
        return job if found.stale else found


def fetch(router: Asking, job: JobInfo, output: str) -> None:
    """Write the audio of a finished job into a file; - is stdout."""
    path = f"{PATH}/{job.id}/audio"
    try:
        if output == "-":
            _write(router, path, sys.stdout.buffer)
            return
        unfinished = Path(f"{output}.part")  # half a book must not look like a whole one
        try:
            with unfinished.open("wb") as file:
                _write(router, path, file)
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        what = f"cannot write {output}: {error.strerror or type(error).__name__}"
        raise click.ClickException(f"{what}. The audio lies at the router: {job.id}") from error
    if job.audio is not None:
        click.echo(f"{output}: {length(job.audio.duration_s)}, {job.audio.bytes:,} bytes", err=True)


def _write(router: Asking, path: str, file: BinaryIO) -> None:
    with router.body(path) as chunks:
        file.writelines(chunks)
    file.flush()


def length(seconds: float) -> str:
    """As people read it: `1:02:03`."""
    return str(dt.timedelta(seconds=round(seconds)))
