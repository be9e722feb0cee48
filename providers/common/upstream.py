"""The one way to a remote API: requests out, answers in, every failure in the contract's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import httpx
import msgspec
from yarl import URL

from providers.common.failures import failure
from providers.common.settings import Connection
from providers.common.transport import AiohttpTransport, Reply, ServerHungUp, body_of, in_pieces
from router.contract.errors import (
    Broken,
    Disconnected,
    NotSpeech,
    ProviderError,
    TimedOut,
    Unreachable,
)

_ERROR_BYTES = 16 * 1024
_ERROR_S = 2.0
_JSON_BYTES = 64 * 1024
_JSON_S = 10.0

_FILE_BYTES = 64 * 1024 * 1024
"""Six minutes of 48 kHz stereo: the most that a file which an upstream names may be."""

_LEAST_SECRET = 6
"""Header values shorter than this are no secrets, and blotting them would garble words."""

_PLAIN: Final = {"accept-encoding": "identity", "user-agent": "tts-router"}


class Asking(NamedTuple):
    """A request as it goes out."""

    method: str
    url: URL
    headers: Iterable[tuple[str, str]]
    body: bytes | AsyncIterator[bytes] | None = None


class Answer:
    """A success, its body still to come; it lives as long as the block that asked for it."""

    __slots__ = ("_name", "_reply", "_room", "framed", "headers", "media_type", "status")

    def __init__(self, name: str, reply: Reply, *, most: int | None = None) -> None:
        self._name = name
        self._room = most
        self._reply = reply
        self.status = reply.status
        self.headers = reply.headers
        self.framed = reply.framed
        """False without a length and without chunks: its end proves nothing."""
        self.media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body, non-empty bytes as they come, once. Nothing here looks at a clock.

        Raises:
            Broken: it ended before its end, or is longer than it may be.
        """
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._reply)
        except httpx.HTTPError as error:
            raise _translated(self._name, error) from error
        if self._room is not None:
            self._room -= len(chunk)
            if self._room < 0:
                raise Broken(f"{self._name} sent more than can be taken")
        return chunk

    async def start(self, most: int, within_s: float) -> tuple[bytes, bool]:
        """At most `most` bytes of the body, and whether they are all of it. What does not come in
        time, or breaks off, is done without."""
        body = bytearray()
        try:
            async with asyncio.timeout(within_s):
                async for chunk in self:
                    body += chunk
                    if len(body) > most:
                        return bytes(body[:most]), False
        except (TimeoutError, ProviderError):
            return bytes(body), False
        return bytes(body), True

    async def json(self) -> Any:
        """The body as JSON, bounded in size and time.

        Raises:
            NotSpeech: it is not JSON, not whole, or too long.
        """
        body, whole = await self.start(_JSON_BYTES, _JSON_S)
        try:
            if whole:
                return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        raise NotSpeech(f"{self._name} answered with JSON that cannot be read")


class Upstream:
    """A remote API. `name` is the provider's in messages; `secrets` never appear in one."""

    def __init__(
        self,
        name: str,
        transport: AiohttpTransport,
        base_url: str,
        headers: Mapping[str, str],
        secrets: Iterable[str] = (),
    ) -> None:
        self.name = name
        self._transport = transport
        self._base = httpx.URL(base_url.rstrip("/") + "/")
        self._urls: dict[str, URL] = {}
        self._headers = {**_PLAIN, **headers}
        self._secrets = tuple(secrets)

    @asynccontextmanager
    async def post(
        self,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        fields: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        trace: Mapping[str, str] | None = None,
        private: Sequence[str] = (),
    ) -> AsyncIterator[Answer]:
        """Post `json`, or `fields` and `files` (each: file name, bytes, media type) as a form.

        Entered, it was accepted: the status is 2xx. Leaving closes what has not come. What is
        `private` (the text) is blotted out of a refusal's words, as our secrets are.

        Raises:
            ProviderError: by the status, or because the network failed.
        """
        headers = {**_sendable(trace or {}), **self._headers}
        if json is not None:
            headers["content-type"] = "application/json"
            asking = Asking("POST", self._url(path), headers.items(), msgspec.json.encode(json))
        else:
            asking = self._form(path, headers, fields or {}, files or {})
        async with self._sent(asking) as answer:
            await self._accepted(answer, private)
            yield answer

    @asynccontextmanager
    async def get(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[Answer]:
        """Get `path`; entered and left, and failing, as `post` does."""
        url = self._url(path)
        asking = Asking("GET", url.update_query(query) if query else url, self._headers.items())
        async with self._sent(asking) as answer:
            await self._accepted(answer)
            yield answer

    @asynccontextmanager
    async def fetch(self, location: str) -> AsyncIterator[Answer]:
        """Get a file that the upstream named, wherever it is, without key and extra headers. A
        relative `location` counts from the API's address.

        Raises:
            Broken: it cannot be had.
        """
        try:
            url = self._base.join(location)
        except httpx.InvalidURL:
            url = httpx.URL()
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise Broken(f"{self.name} named a file that is not on the web")
        asking = Asking("GET", URL(str(url), encoded=True), _PLAIN.items())
        async with self._sent(asking, most=_FILE_BYTES) as answer:
            if answer.status != 200:
                raise Broken(f"{self.name} named a file that it has not (HTTP {answer.status})")
            yield answer

    def _form(
        self,
        path: str,
        headers: Mapping[str, str],
        fields: Mapping[str, str],
        files: Mapping[str, tuple[str, bytes, str]],
    ) -> Asking:
        """A form, written by httpx."""
        url = self._base.join(path)
        form = httpx.Request("POST", url, headers=headers, data=fields, files=files)
        return Asking("POST", self._url(path), form.headers.multi_items(), body_of(form))

    @asynccontextmanager
    async def _sent(self, asking: Asking, *, most: int | None = None) -> AsyncIterator[Answer]:
        marks: dict[str, Any] = {}
        body = in_pieces(asking.body) if isinstance(asking.body, bytes) else asking.body
        try:
            reply = await self._transport.exchange(
                asking.method, asking.url, asking.headers, body, marks
            )
        except httpx.HTTPError as error:
            raise _translated(self.name, error, asking, marks) from error
        try:
            yield Answer(self.name, reply, most=most)
        finally:
            await reply.aclose()

    async def _accepted(self, answer: Answer, private: Sequence[str] = ()) -> None:
        if not 200 <= answer.status < 300:
            body, _ = await answer.start(_ERROR_BYTES, _ERROR_S)
            raise failure(
                self.name, answer.status, answer.headers, body, (*self._secrets, *private)
            )

    def _url(self, path: str) -> URL:
        """The few paths that a provider uses are parsed once."""
        if path not in self._urls:
            self._urls[path] = URL(str(self._base.join(path)), encoded=True)
        return self._urls[path]


@asynccontextmanager
async def opened(settings: Connection, name: str) -> AsyncIterator[Upstream]:
    """The upstream of a provider's settings, its connections closed at the end."""
    key = settings.key.reveal().strip() if settings.key else ""
    extra = {header: value.reveal().strip() for header, value in settings.headers.items()}
    headers = {"authorization": f"Bearer {key}"} if key else {}
    headers |= {header.lower(): value for header, value in extra.items()}
    secrets = [value for value in (key, *extra.values()) if len(value) >= _LEAST_SECRET]
    proxy = settings.proxy.reveal() if settings.proxy else None
    async with AiohttpTransport(connect_s=settings.connect_s, proxy=proxy) as transport:
        yield Upstream(name, transport, settings.base_url, headers, secrets)


def _translated(
    name: str,
    error: httpx.HTTPError,
    asking: Asking | None = None,
    marks: Mapping[str, Any] = MappingProxyType({}),
) -> ProviderError:
    """httpx's errors in the contract's words. With `asking`, no answer to it has begun.

    A GET is never `Disconnected`: the client has asked again by itself.
    """
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return Unreachable(f"{name} cannot be reached: {error}")
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"{name} was silent")
    if not isinstance(error, httpx.ReadError | httpx.WriteError | ServerHungUp):
        return Broken(f"{name} answered with something that is not HTTP")
    if asking is None:
        return Broken(f"{name} broke off")
    if asking.method == "POST" and marks.get("reused"):
        return Disconnected(f"{name} had closed a kept connection")
    return Unreachable(f"{name} hung up without an answer")


def _sendable(trace: Mapping[str, str]) -> dict[str, str]:
    return {k.lower(): v for k, v in trace.items() if (k + v).isascii() and (k + v).isprintable()}
