"""Tells everybody who listens what happened: once each, and nobody's failure is another's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from router.contract.record import Event, Observer, SpeechRecord

_log = structlog.get_logger(__name__)
_Told = TypeVar("_Told")


class Observers:
    """The listeners of one running router."""

    def __init__(self) -> None:
        self._all: list[Observer] = []

    def join(self, observer: Observer) -> None:
        self._all.append(observer)

    def recorded(self, record: SpeechRecord) -> None:
        """A request is over."""
        for observer in self._all:
            _tell(observer.recorded, record)

    def noticed(self, event: Event) -> None:
        """Something else happened."""
        for observer in self._all:
            _tell(observer.noticed, event)


def _tell(hear: Callable[[_Told], None], told: _Told) -> None:
    try:
        hear(told)
    except Exception as error:  # an observer's bug must not reach a caller
        _log.error("an observer failed", error=type(error).__name__)
