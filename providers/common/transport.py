"""An httpx transport that speaks through aiohttp.

httpx is the interface (request, response, errors); aiohttp moves the bytes, for it lets go of
connections under cancellation where httpx's own pool jams, and costs a fraction of it. On the path
of a request `exchange` is called: httpx's client, request and response would cost more than it.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import aiohttp
import httpx
from yarl import URL

_KEPT_S = 4
"""Idle connections are kept shorter than the 5 s after which many servers close theirs."""

_UNREAD_MS = 30_000
"""How long the kernel keeps bytes that a peer does not take, also after we have let go."""

_SMALL_BYTES = 64 * 1024


class ServerHungUp(httpx.RemoteProtocolError):
    """The connection was closed before an answer: the request may have been heard, or not."""


_TABLE: tuple[tuple[type[Exception], type[httpx.TransportError], str], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout, "no connection in time"),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout, "silence"),
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError, "its proxy cannot be reached"),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError, "its proxy refused"),
    (aiohttp.ClientConnectorDNSError, httpx.ConnectError, "its name cannot be resolved"),
    (aiohttp.ClientConnectorCertificateError, httpx.ConnectError, "its certificate is not trusted"),
    (aiohttp.ClientSSLError, httpx.ConnectError, "no TLS can be agreed on"),
    (aiohttp.ClientConnectorError, httpx.ConnectError, "no connection"),
    (aiohttp.ServerDisconnectedError, ServerHungUp, "closed without an answer"),
    (aiohttp.ClientConnectionError, httpx.ReadError, "the connection was reset"),
    (aiohttp.ClientPayloadError, httpx.ReadError, "the body broke off"),
    (aiohttp.ClientError, httpx.RemoteProtocolError, "that was not HTTP"),
    (OSError, httpx.ReadError, "the connection was reset"),
)
"""aiohttp's errors in httpx's words, the more special first. Theirs hold addresses: ours do not."""


def _in_httpx_words(error: aiohttp.ClientError | OSError) -> httpx.TransportError:
    for theirs, ours, words in _TABLE:
        if isinstance(error, theirs):
            return ours(words)
    raise AssertionError("the table ends with both roots")


class Reply(httpx.AsyncByteStream):
    """The head of an answer, and its body as it comes; closing it before its end closes the
    connection.

    An iterator and no generator: there is nothing in it that would need closing of its own.
    """

    __slots__ = ("_answer",)

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Looked up without regard to case."""
        return self._answer.headers

    @property
    def raw_headers(self) -> Sequence[tuple[bytes, bytes]]:
        return self._answer.raw_headers

    @property
    def framed(self) -> bool:
        """Whether its end can be told from a cut."""
        headers = self._answer.headers
        return (
            "Content-Length" in headers or "chunked" in headers.get("Transfer-Encoding", "").lower()
        )

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._answer.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _in_httpx_words(error) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._answer.close()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One session for one provider, HTTP/1.1.

    Nothing is decoded, redirected, remembered as a cookie or taken from the environment, and
    nothing waits for a place: the router's slots are the limit. There is no read timeout either,
    for the router watches every chunk (aiohttp's own does not fire on a body that it cannot parse).

    What a request's `extensions` get is `reused`: whether its connection had served another before.
    An answer's have `framed`: whether its end can be told from a cut. A GET that meets a closed
    kept connection is sent again by aiohttp itself; a POST never is.
    """

    def __init__(self, *, connect_s: float, proxy: str | None = None) -> None:
        self._connect_s = connect_s
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        watch = aiohttp.TraceConfig()
        watch.on_connection_reuseconn.append(_note_reuse)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_KEPT_S, socket_factory=_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Content-Type"),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._connect_s, sock_connect=self._connect_s
            ),
            trace_configs=[watch],
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` and return with the head of its answer.

        Raises:
            httpx.TransportError: by the table above; the words hold neither address nor key.
        """
        reply = await self.exchange(
            request.method,
            URL(str(request.url), encoded=True),
            request.headers.multi_items(),
            body_of(request),
            request.extensions,
        )
        return httpx.Response(
            reply.status,
            headers=reply.raw_headers,
            stream=reply,
            extensions={"framed": reply.framed},
            request=request,
        )

    async def exchange(
        self,
        method: str,
        url: URL,
        headers: Iterable[tuple[str, str]],
        body: bytes | AsyncIterator[bytes] | None,
        marks: dict[str, Any],
    ) -> Reply:
        """The same without httpx's request and response, which cost as much as the exchange.
        `marks` gets `reused`.

        Raises:
            httpx.TransportError: as above.
        """
        assert self._session is not None, "the transport is not entered"
        marks["reused"] = False
        try:
            answer = await self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                proxy=self._proxy,
                trace_request_ctx=marks,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise _in_httpx_words(error) from error
        return Reply(answer)


async def _note_reuse(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    context.trace_request_ctx["reused"] = True


def body_of(request: httpx.Request) -> Any:
    """What is sent of a request: small bodies at once, others as fast as the peer reads."""
    if isinstance(request.stream, httpx.ByteStream):
        return in_pieces(request.content)
    return request.stream


def in_pieces(content: bytes) -> Any:
    """A body as it is sent: a small one at once, another piece by piece."""
    return _slices(content) if len(content) > _SMALL_BYTES else content or None


async def _slices(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _SMALL_BYTES):
        yield content[start : start + _SMALL_BYTES]


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that does not outlive a peer that takes nothing more."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    return made
