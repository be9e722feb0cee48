"""How the store fails, for those who stand on it."""

from __future__ import annotations

from router.contract.errors import Overloaded

RETRY_S = 2.0


class StoreUnavailable(Overloaded):
    """The store did not answer in time, or its queue is full. Whether a change was made is not
    known, which is why every change may be repeated."""

    def __init__(self, message: str = "The accounts cannot be reached at the moment.") -> None:
        super().__init__(message, retry_after=RETRY_S)


class StoreUnusable(Exception):
    """The store cannot be opened as it is: the message says why, and what to do."""
