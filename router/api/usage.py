"""Usage over HTTP: a page of JSON, or all of it as CSV."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import QueryParameter
from litestar.response import Stream
from msgspec import Meta

from router.accounts.usage import PAGE, Usage, UsagePage, UsageQuery, csv_of, shown
from router.contract.errors import InvalidRequest

FirstDay = Annotated[
    dt.date | None, QueryParameter(name="from", description="The first day, in UTC: 2026-11-01.")
]
LastDay = Annotated[
    dt.date | None, QueryParameter(name="to", description="The last day, itself included.")
]
As = Annotated[
    str, QueryParameter(name="format", pattern="^(json|csv)$", description="json or csv.")
]
Cursor = Annotated[
    str, QueryParameter(name="cursor", max_length=2_048, description="`next` of the page before.")
]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=PAGE, description="Rows of one page.")]


class UsageList(msgspec.Struct, frozen=True):
    """Rows by day, key, model and provider; amounts of credit are decimal strings."""

    data: list[dict[str, Any]]
    next: str | None
    """Ask with it as `cursor` for the next page; null: this was the last."""
    object: Annotated[str, Meta(examples=["list"])] = "list"


def between(query: UsageQuery, first: dt.date | None, last: dt.date | None) -> UsageQuery:
    """The same for these days."""
    days = {"first_day": first, "last_day": last}
    given = {name: day.isoformat() for name, day in days.items() if day is not None}
    return msgspec.structs.replace(query, **given)


async def usage_answer(
    usage: Usage, query: UsageQuery, format: str, cursor: str, limit: int
) -> Response[Any]:
    """The answer. Raises InvalidRequest."""
    is_csv = format == "csv"
    try:
        page = await usage.page(query, cursor=cursor, limit=PAGE if is_csv else limit)
    except ValueError as error:
        raise InvalidRequest(f"cursor: {error}.", param="cursor") from error
    if not is_csv:
        return Response(UsageList([shown(row) for row in page.rows], page.next))
    return Stream(
        _lines(usage, query, page),  # what cannot be read at all was told by now
        media_type="text/csv",
        headers={"content-disposition": 'attachment; filename="usage.csv"'},
    )


async def _lines(usage: Usage, query: UsageQuery, page: UsagePage) -> AsyncIterator[str]:
    """Page by page: all of the usage is never held at once."""
    yield csv_of(page.rows)
    while page.next is not None:
        page = await usage.page(query, cursor=page.next, limit=PAGE)
        yield csv_of(page.rows, head=False)
