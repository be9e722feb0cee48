"""Connections to receivers, none of them to an address that was not checked.

The check stands where the socket is made: whatever a name resolved to, in whichever spelling, the
address that comes here is the one that is connected to. Each try connects anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUPS = 16
"""Names that are looked up at once. In threads of their own: a caller's name server that never
answers shall keep nothing of ours waiting but webhooks."""

Allows = Callable[[str], bool]
"""Whether this address, in digits, may be connected to."""


class ForbiddenAddress(OSError):
    """Nobody may be called there."""

    def __init__(self) -> None:
        super().__init__("the address is not public")  # the same words for each address of a name


class NameResolver(AbstractResolver):
    """The machine's own resolver, asked anew each time."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="webhook names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _addresses, host, port, family)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def dialing(
    allows: Allows, resolver: AbstractResolver | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose sockets are all checked by `allows`. It keeps no connection and no cookie,
    takes nothing from the environment (no proxy stands between check and use), decodes nothing."""

    def made(address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, where = address
        if not allows(str(where[0])):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)

    names = resolver or NameResolver()
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=names,
                use_dns_cache=False,
                force_close=True,
                limit=0,  # the sender's bounds hold
                socket_factory=made,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),  # a try has one limit for all of it
        ) as session:
            yield session
    finally:
        await names.close()


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return [
        ResolveResult(
            hostname=host,
            host=str(where[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, where in found
    ]
