"""What the holder of a key may know of their own account: `/v1/credits` and `/v1/usage`."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency

from router.accounts.gate import KeyedGate
from router.accounts.price import credits_of
from router.accounts.usage import UsageQuery
from router.api.body import ApiRequest
from router.api.door import Door
from router.api.usage import As, Cursor, FirstDay, LastDay, Limit, between, usage_answer
from router.contract.caller import Caller


class Credits(msgspec.Struct, frozen=True):
    """What is left on an account."""

    account: str
    name: str
    metered: bool
    """Whether it pays at all."""
    balance: str | None
    """Credits, as a decimal; null: it is not metered."""
    object: str = "credits"


class AccountController(Controller):
    """The caller's own account, by the caller's own key."""

    tags = ("Account",)

    @get("/v1/credits", summary="What is left on your account")
    async def credits(
        self, request: ApiRequest, door: NamedDependency[Door], gate: NamedDependency[KeyedGate]
    ) -> Credits:
        caller = await _known(request, door)
        left = await gate.accounts.ledger.balance(caller.id)
        balance = None if left is None else credits_of(left)
        return Credits(caller.id, caller.name, left is not None, balance)

    @get("/v1/usage", summary="What you used, by day, model and provider")
    async def usage(
        self,
        request: ApiRequest,
        door: NamedDependency[Door],
        gate: NamedDependency[KeyedGate],
        *,
        first: FirstDay = None,
        last: LastDay = None,
        format: As = "json",
        cursor: Cursor = "",
        limit: Limit = 1_000,
    ) -> Response[Any]:
        caller = await _known(request, door)
        query = between(UsageQuery(account=caller.id), first, last)
        return await usage_answer(gate.accounts.usage, query, format, cursor, limit)


async def _known(request: ApiRequest, door: Door) -> Caller:
    """Whose account it is. Raises Unauthenticated, RateLimited."""
    caller = await door.caller(request)
    await door.visit(request)
    return caller
