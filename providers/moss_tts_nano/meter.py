"""Counts the bytes of long work, tells somebody now and then, ends it when told to."""

from __future__ import annotations

import time
from collections.abc import Callable

from router.contract.provider import Interrupted
from router.contract.record import AssetsStage

_TELL_EVERY_S = 0.2

Progress = Callable[[AssetsStage, int, int], None]
"""Hears the stage, the bytes done and all of them, at most five times a second."""
Stopped = Callable[[], bool]
"""Asked between pieces of a few kilobytes."""


class Meter:
    """Counts bytes, tells somebody now and then, and ends the work when told to."""

    def __init__(self, progress: Progress, stopped: Stopped) -> None:
        self._progress, self._stopped = progress, stopped
        self._stage: AssetsStage = "listing"
        self._done = self._total = 0
        self._told = 0.0

    def begin(self, stage: AssetsStage, total: int) -> None:
        self._stage, self._done, self._total = stage, 0, total
        self._tell()

    def done(self, count: int) -> None:
        if self._stopped():
            raise Interrupted
        self._done += count
        if time.monotonic() - self._told >= _TELL_EVERY_S:
            self._tell()

    def end(self) -> None:
        self._done = self._total
        self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        self._progress(self._stage, self._done, self._total)
