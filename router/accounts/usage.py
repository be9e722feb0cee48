"""Usage by day, key, model and provider; no text is in it."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import msgspec

from router.accounts.price import credits_of

PAGE = 10_000
COLUMNS = (
    *("day", "account", "model", "provider", "requests"),
    *("characters", "audio_seconds", "tokens", "credits"),
)


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one key used on one day of one model at one provider."""

    day: str
    """`2026-11-21`, in UTC: the day on which the request ended."""
    account: str
    model: str
    provider: str
    requests: int
    characters: int
    audio_ms: int
    tokens: int
    charged_nano: int


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows; days are included at both ends."""

    first_day: str = ""
    last_day: str = "9999-12-31"
    account: str | None = None
    model: str | None = None
    provider: str | None = None


class UsagePage(msgspec.Struct, frozen=True, kw_only=True):
    rows: list[UsageRow]
    next: str | None
    """The cursor of the next page; `None`: this was the last."""


Place = tuple[str, str, str, str]
"""Day, account, model and provider of a row: what it is counted by, and its place in the order."""


class UsageRows(Protocol):
    """The usage in the store."""

    async def after(self, query: UsageQuery, place: Place | None, limit: int) -> list[UsageRow]: ...


class Usage:
    """What was used, in pages: nothing here grows with the number of days or keys."""

    def __init__(self, rows: UsageRows) -> None:
        self._rows = rows

    async def page(self, query: UsageQuery, *, cursor: str = "", limit: int = 1_000) -> UsagePage:
        """Rows by day, account, model and provider; at most 10,000 at once.

        Raises:
            ValueError: the cursor is none of ours.
            StoreUnavailable: the store does not answer in time.
        """
        if "\0" in "".join(filter(None, msgspec.structs.astuple(query))):
            return UsagePage(rows=[], next=None)  # PostgreSQL has no such text
        limit = max(1, min(limit, PAGE))
        rows = await self._rows.after(query, _place(cursor) if cursor else None, limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        return UsagePage(rows=rows, next=_cursor(rows[-1]) if more else None)

    async def pages(self, query: UsageQuery) -> AsyncIterator[UsagePage]:
        """All of it, page by page; each is a snapshot of its own."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.page(query, cursor=cursor)
            yield page
            cursor = page.next


def shown(row: UsageRow) -> dict[str, Any]:
    """A row for people and JSON, with `COLUMNS` as its names; credits are an exact decimal
    string."""
    return {
        "day": row.day,
        "account": row.account,
        "model": row.model,
        "provider": row.provider,
        "requests": row.requests,
        "characters": row.characters,
        "audio_seconds": row.audio_ms / 1000,
        "tokens": row.tokens,
        "credits": credits_of(row.charged_nano),
    }


def csv_of(rows: Sequence[UsageRow], *, head: bool = True) -> str:
    """Rows as CSV (RFC 4180), the first page with the line of names."""
    written = io.StringIO()
    lines = csv.DictWriter(written, COLUMNS)
    if head:
        lines.writeheader()
    lines.writerows(shown(row) for row in rows)
    return written.getvalue()


def _cursor(row: UsageRow) -> str:
    place = msgspec.json.encode((row.day, row.account, row.model, row.provider))
    return base64.urlsafe_b64encode(place).decode()


def _place(cursor: str) -> Place:
    try:
        place: Place = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=Place)
    except (ValueError, msgspec.MsgspecError):
        raise ValueError("the cursor is not one of ours") from None
    if "\0" in "".join(place):
        raise ValueError("the cursor is not one of ours")
    return place
