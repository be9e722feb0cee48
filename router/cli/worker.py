"""`tts-router worker`: speaks jobs without a server, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress

import click
import msgspec

from router.app.worker import working
from router.cli.config import config_option, loaded
from router.dispatch.house import House
from router.registry import Kinds
from router.settings.structs import Settings
from router.telemetry import logs

_NICE = 5
"""A worker has time: on the same machine those go first whom somebody listens to."""


@click.command()
@config_option
@click.option("--at-once", type=click.IntRange(1, 256), help="Instead of jobs.at_once.")
@click.option("--log", type=click.Choice(["auto", "console", "json"]), default="auto")
def worker(config: str | None, at_once: int | None, log: str) -> None:
    """Speak jobs that a server has taken.

    Any number of workers may share a store and a folder of jobs. One that is told to stop lets the
    piece under way end; one that dies is replaced by another within half a minute.
    """
    logs.set_up(json=log == "json" or (log == "auto" and not sys.stderr.isatty()))
    settings, kinds = loaded(config)
    if not settings.jobs.enabled:
        raise click.ClickException("the config takes no jobs: jobs.enabled is false")
    jobs = msgspec.structs.replace(
        settings.jobs, workers=1, at_once=at_once or settings.jobs.at_once
    )
    with suppress(AttributeError, OSError):
        os.nice(_NICE)
    asyncio.run(_work(msgspec.structs.replace(settings, jobs=jobs), kinds))


async def _work(settings: Settings, kinds: Kinds) -> None:
    house, is_told = House(), asyncio.Event()

    def told() -> None:
        if house.is_closing:  # once more: at once
            house.drain_s = 0.0
        house.close()
        is_told.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, told)
    async with working(settings, kinds, house):
        click.echo(f"tts-router worker speaks jobs (config: {settings.source})", err=True)
        await is_told.wait()
