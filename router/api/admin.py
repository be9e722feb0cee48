"""Keys, credit and usage over HTTP, for whoever has the admin key: what `tts-router keys` does."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Controller, Response, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from router.accounts.errors import AccountError, UnknownKey
from router.accounts.gate import KeyedGate
from router.accounts.price import credits_of, nano_of
from router.accounts.shown import (
    KeyInfo,
    WantedKey,
    info_of,
    info_of_new,
    terms_of,
    top_up_name,
)
from router.accounts.usage import UsageQuery
from router.api.body import ApiRequest
from router.api.door import Door, credential
from router.api.errors import NoSuchKey, NoSuchPath
from router.api.terms import idempotency_key
from router.api.usage import As, Cursor, FirstDay, LastDay, Limit, between, usage_answer
from router.contract.caller import Credits
from router.contract.errors import InvalidRequest

_Answer = TypeVar("_Answer")
_BODY_BYTES = 65_536
_PAGE = 1_000


class TopUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit to be added."""

    credits: Credits


class KeyList(msgspec.Struct, frozen=True):
    """Keys in the order of their making; those of the config come first."""

    data: list[KeyInfo]
    next: str | None
    """Ask with it as `after` for the next page."""
    object: str = "list"


class Balance(msgspec.Struct, frozen=True):
    """What an account has."""

    account: str
    balance: str


async def admins_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Only who has the admin key comes further.

    Raises:
        NoSuchPath: there are no keys here at all.
        MissingKey, Unauthenticated, Forbidden, RateLimited: not an admin.
    """
    state = connection.scope["state"]  # that of the config with which the request began
    gate: KeyedGate | None = state["keyed"]
    if gate is None:
        raise NoSuchPath("There are no keys here: the config has no table `accounts`.")
    door: Door = state["door"]
    request: ApiRequest = ApiRequest(connection.scope)
    await gate.check_admin(credential(request), door.address(request))


class AdminController(Controller):
    """For whoever runs it."""

    path = "/admin/v1"
    tags = ("Admin",)
    guards = (admins_only,)
    request_max_body_size = _BODY_BYTES

    @post("/keys", summary="Make a key; it is shown once")
    async def create(self, data: JSONBody[WantedKey], gate: NamedDependency[KeyedGate]) -> KeyInfo:
        try:
            made = await gate.accounts.keys.create(terms_of(data), credit_nano=data.credit_nano)
        except ValueError as error:
            raise InvalidRequest(f"{error}.") from error
        return info_of_new(made)

    @get("/keys", summary="List the keys")
    async def keys(
        self,
        gate: NamedDependency[KeyedGate],
        after: Annotated[str, QueryParameter(max_length=64)] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=_PAGE)] = 100,
    ) -> KeyList:
        found = await gate.accounts.keys.page(after=after, limit=limit)
        stored = [key.id for key in found if key.source == "store"]
        return KeyList(
            [info_of(key) for key in found], stored[-1] if len(stored) == limit else None
        )

    @get("/keys/{id:str}", summary="Describe a key")
    async def key(self, id: FromPath[str], gate: NamedDependency[KeyedGate]) -> KeyInfo:
        return info_of(await _told(gate.accounts.keys.get(id)))

    @post("/keys/{id:str}/disable", status_code=200, summary="Disable a key")
    async def disable(self, id: FromPath[str], gate: NamedDependency[KeyedGate]) -> KeyInfo:
        return info_of(await _told(gate.accounts.keys.disable(id)))

    @post("/keys/{id:str}/enable", status_code=200, summary="Enable a key again")
    async def enable(self, id: FromPath[str], gate: NamedDependency[KeyedGate]) -> KeyInfo:
        return info_of(await _told(gate.accounts.keys.enable(id)))

    @post("/keys/{id:str}/rotate", status_code=200, summary="Give a key a new secret, shown once")
    async def rotate(self, id: FromPath[str], gate: NamedDependency[KeyedGate]) -> KeyInfo:
        return info_of_new(await _told(gate.accounts.keys.rotate(id)))

    @post(
        "/keys/{id:str}/top-up",
        status_code=200,
        summary="Add credit to a key; once for each Idempotency-Key",
    )
    async def top_up(
        self,
        request: ApiRequest,
        id: FromPath[str],
        data: JSONBody[TopUp],
        gate: NamedDependency[KeyedGate],
    ) -> Balance:
        key = await _told(gate.accounts.keys.get(id))
        name = top_up_name(key.id, idempotency_key(request))
        ledger = gate.accounts.ledger
        balance = await _told(ledger.top_up(key.id, nano_of(data.credits), request=name))
        return Balance(key.id, credits_of(balance))

    @get("/usage", summary="What all keys used, by day, key, model and provider")
    async def usage(
        self,
        gate: NamedDependency[KeyedGate],
        *,
        first: FirstDay = None,
        last: LastDay = None,
        key: Annotated[str | None, QueryParameter(max_length=64)] = None,
        model: Annotated[str | None, QueryParameter(max_length=256)] = None,
        provider: Annotated[str | None, QueryParameter(max_length=256)] = None,
        format: As = "json",
        cursor: Cursor = "",
        limit: Limit = _PAGE,
    ) -> Response[Any]:
        query = between(UsageQuery(account=key, model=model, provider=provider), first, last)
        return await usage_answer(gate.accounts.usage, query, format, cursor, limit)


async def _told(asked: Awaitable[_Answer]) -> _Answer:
    """The answer, or what the accounts refuse in HTTP's words."""
    try:
        return await asked
    except UnknownKey as error:
        raise NoSuchKey("There is no key of this id.") from error
    except (AccountError, ValueError) as error:
        raise InvalidRequest(f"{error}.") from error
