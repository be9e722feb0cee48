"""Keeps web pages out: only known hosts and origins are answered; HEAD is a GET without a body."""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from router.api.errors import Dialect, answer
from router.api.job_links import FILES
from router.api.response import bare, header
from router.contract.errors import Forbidden
from router.settings.structs import Server

HEAD = "is_head"
"""In a request's state: it was a HEAD, so that a body may be left out."""

_LOOPBACK_NAMES = {"localhost"}
_preflight = bare(
    204,
    [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
        (b"access-control-allow-headers", b"*, Authorization"),
        (b"access-control-max-age", b"600"),
    ],
)
"""What a page is told that asks whether it may fetch a part of a file."""


class Guard:
    """Wraps the application. Without keys, a page that a user visits must not spend their money.

    A foreign page names its own origin (`Origin`), or rebinds a name of its own to this address
    (`Host`): both are refused with 403. Where a key is needed no page can spend anything, so every
    host and origin is answered. So is every origin that knows the address of a finished file: it
    costs nothing to fetch, and nobody can guess it.
    """

    def __init__(self, app: ASGIApp, server: Server, *, keyed: bool = False) -> None:
        self._app = app
        self._keyed = keyed
        self._origins = {origin.rstrip("/").lower() for origin in server.origins}
        self._hosts = {host.lower() for host in server.hosts}
        if server.public_url:
            public = urlsplit(server.public_url)
            self._hosts.add((public.hostname or "").lower())
            self._origins.add(f"{public.scheme}://{public.netloc}".lower())
        if server.open:
            self._hosts.add(socket.gethostname().lower())
        self._addresses = server.open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        http = scope
        if not self._keyed and (refusal := self._refusal(http)):
            await refusal(http, receive, send)
            return
        if http["method"] == "OPTIONS" and http["path"].startswith(FILES):
            await _preflight(http, receive, send)
            return
        if http["method"] == "HEAD":  # the server drops the body: its own scope still says HEAD
            http = {**http, "method": "GET", "state": {**http["state"], HEAD: True}}
        await self._app(http, receive, send)

    def _refusal(self, scope: HTTPScope) -> ASGIApp | None:
        host = header(scope, b"host")
        if host is not None and not self._knows_host(host):
            return _forbidden(scope, "This Host is not answered. Add it to server.hosts.")
        origin = header(scope, b"origin")
        if scope["path"].startswith(FILES):
            return None
        if origin is not None and not self.knows_origin(origin):
            return _forbidden(scope, "This Origin may not call. Add it to server.origins.")
        return None

    def _knows_host(self, host: str) -> bool:
        name = _hostname(host)
        return name is not None and (
            is_loopback(name) or name in self._hosts or (self._addresses and _is_address(name))
        )

    def knows_origin(self, origin: str) -> bool:
        """Whether a page of this origin may call."""
        if origin.lower() in self._origins:
            return True
        scheme, _, authority = origin.partition("://")
        name = _hostname(authority)
        return scheme in ("http", "https") and name is not None and is_loopback(name)


@functools.lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Whether a host name or address means this machine."""
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def dialect_of(path: str) -> Dialect:
    """The envelope for a path that has no handler to choose it."""
    path = path.removeprefix("/api").rstrip("/")
    if path in ("/tts", "/tts/status"):
        return "nanogpt-job"
    if path.startswith(("/v1/audio/speech/jobs", FILES)):
        return "leaper"
    return "nanogpt" if path.removeprefix("/v1") == "/speech" else "openai"


def _forbidden(scope: HTTPScope, message: str) -> ASGIApp:
    return answer(Forbidden(message), dialect_of(scope["path"]), os.urandom(16).hex())


@functools.lru_cache(maxsize=256)
def _hostname(authority: str) -> str | None:
    """The name or address of `host:port`, without brackets and a final dot; `None`: malformed."""
    if not authority.isprintable() or " " in authority:  # urlsplit would read past these
        return None
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port  # it is looked at only when it is asked for
        return (parts.hostname or "").rstrip(".") or None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
