"""What holds for the whole server, whichever config is current."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from router.contract.errors import Draining

RETRY_S = 5.0
"""After which a caller may ask again whom a server that goes down has sent away: another has his
address by then, or it has started anew."""


class ConfigState(msgspec.Struct, frozen=True, kw_only=True):
    """Which config is current, and what came of the last attempt to read another."""

    loaded: str
    """When the current one was read: RFC 3339, UTC."""
    refused: str | None = None
    """Why a newer one was not taken."""
    restart: Sequence[str] = ()
    """Keys whose new values hold only after a restart."""


class House:
    """Who is in it, whether it still lets speech in, and what came of the config."""

    def __init__(self) -> None:
        self.is_closing = False
        self.drain_s = 0.0
        """How long speech under way may take once it closes."""
        self.requests = 0
        """Those that are in it now."""
        self.config = ConfigState(loaded=_now())

    def __enter__(self) -> None:
        """One more request is in it."""
        self.requests += 1

    def __exit__(self, *_: object) -> None:
        self.requests -= 1

    def close(self) -> None:
        """No new speech from here on; what is under way goes on. May be called by a signal."""
        self.is_closing = True

    def check_open(self) -> None:
        """Raises Draining."""
        if self.is_closing:
            raise Draining("The server is going down. Try again soon.", retry_after=RETRY_S)

    def adopted(self, restart: Sequence[str]) -> None:
        """A new config is current, save for these keys."""
        self.config = ConfigState(loaded=_now(), restart=restart)

    def refused(self, why: str) -> None:
        """A new config was not taken: the one before it goes on."""
        self.config = msgspec.structs.replace(self.config, refused=why)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
