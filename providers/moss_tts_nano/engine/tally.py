"""Where an engine's time goes: seconds of each stage, counted by the thread that spends them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

Stage = Literal["prefill", "decode", "local", "codec"]
"""A prompt is read; a frame goes through the global transformer; through the local one; frames
become sound."""
STAGES: tuple[Stage, ...] = get_args(Stage)


class Tally:
    """One thread writes; others may read at any time what is true in that moment."""

    def __init__(self) -> None:
        self.seconds: dict[Stage, float] = dict.fromkeys(STAGES, 0.0)
        self.calls: dict[Stage, int] = dict.fromkeys(STAGES, 0)

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - began
            self.calls[stage] += 1


def together(tallies: Iterable[Tally]) -> Tally:
    """The sum of several, on its own."""
    summed = Tally()
    for tally in tallies:
        for stage in STAGES:
            summed.seconds[stage] += tally.seconds[stage]
            summed.calls[stage] += tally.calls[stage]
    return summed
