"""The config that speaks now: a reload may bring another between two pieces of a job."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from router.dispatch.speaker import Speaker


class Speaking(Protocol):
    """A config that is current."""

    @property
    def speaker(self) -> Speaker: ...


Holding = Callable[[], AbstractContextManager[Speaking]]
"""What is current, which stays open while the block lasts."""
