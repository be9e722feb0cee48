"""The transport under the remote providers: what each failure is called, and that nothing stays."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from providers.common.transport import AiohttpTransport, ServerHungUp
from router.testing import misbehaving as mis
from tests.providers.remote import WAV

BODY = bytes(range(256)) * 64


@asynccontextmanager
async def exchange(
    transport: AiohttpTransport, url: str, method: str = "POST", content: bytes = b"{}"
) -> AsyncIterator[tuple[httpx.Request, httpx.Response]]:
    request = httpx.Request(method, url, content=content)
    response = await transport.handle_async_request(request)
    try:
        yield request, response
    finally:
        await response.aclose()


async def read(transport: AiohttpTransport, url: str) -> bytes:
    async with exchange(transport, url) as (_, response):
        return b"".join([chunk async for chunk in response.aiter_raw()])


@pytest.mark.parametrize("framing", ["chunked", "length", "none"])
async def test_a_body_comes_as_it_was_sent(framing: mis.Framing) -> None:
    async with (
        mis.misbehaving(mis.speaks(BODY, framing=framing, piece_bytes=1000)) as upstream,
        AiohttpTransport(connect_s=2) as transport,
        exchange(transport, upstream.url) as (_, response),
    ):
        assert response.extensions["framed"] is (framing != "none")
        assert b"".join([chunk async for chunk in response.aiter_raw()]) == BODY


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (mis.hangs_up(), ServerHungUp),
        (mis.hangs_up(reset=True), httpx.ReadError),
        (mis.babbles(), httpx.RemoteProtocolError),
        (mis.breaks_off(BODY, after=5000, framing="chunked"), httpx.ReadError),
        (mis.breaks_off(BODY, after=5000, framing="length"), httpx.ReadError),
        (mis.breaks_off(BODY, after=5000, framing="chunked", reset=True), httpx.ReadError),
        (mis.breaks_off(BODY, after=5000, framing="length", reset=True), httpx.ReadError),
    ],
)
async def test_every_failure_has_its_httpx_name(
    behaviour: mis.Behaviour, error: type[Exception]
) -> None:
    async with (
        mis.misbehaving(behaviour) as upstream,
        AiohttpTransport(connect_s=2) as transport,
    ):
        with pytest.raises(error) as raised:
            await read(transport, upstream.url)
        assert type(raised.value) is error
        assert upstream.url.removeprefix("http://") not in str(raised.value)
        assert len(upstream.requests) == 1


async def test_a_closed_port_is_a_connect_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with AiohttpTransport(connect_s=2) as transport:
            with pytest.raises(httpx.ConnectError, match="no connection"):
                await read(transport, url)


async def test_a_peer_without_tls_is_a_connect_error() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP ready\r\n")
        writer.close()
        await writer.wait_closed()

    async with (
        await asyncio.start_server(greet, "127.0.0.1", 0) as server,
        AiohttpTransport(connect_s=2) as transport,
    ):
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(httpx.ConnectError, match="TLS"):
            await read(transport, f"https://127.0.0.1:{port}")


async def test_a_handshake_without_answer_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        async with AiohttpTransport(connect_s=0.2) as transport:
            with pytest.raises(httpx.ConnectTimeout):
                await read(transport, url)


async def test_a_kept_connection_that_is_closed_under_a_post_is_told_and_not_tried_again() -> None:
    script = [mis.speaks(BODY), mis.hangs_up()]
    async with (
        mis.misbehaving(script) as upstream,
        AiohttpTransport(connect_s=2) as transport,
    ):
        assert await read(transport, upstream.url) == BODY
        request = httpx.Request("POST", upstream.url, content=b"{}")
        with pytest.raises(ServerHungUp):
            await transport.handle_async_request(request)
        assert request.extensions["reused"] is True
        assert [seen.connection for seen in upstream.requests] == [1, 1]


async def test_a_new_connection_that_is_closed_is_told_as_new() -> None:
    async with (
        mis.misbehaving(mis.hangs_up()) as upstream,
        AiohttpTransport(connect_s=2) as transport,
    ):
        request = httpx.Request("POST", upstream.url, content=b"{}")
        with pytest.raises(ServerHungUp):
            await transport.handle_async_request(request)
        assert request.extensions["reused"] is False


async def test_an_unframed_end_is_clean_but_said_to_prove_nothing() -> None:
    cut = mis.breaks_off(BODY, after=5000, framing="none")
    async with (
        mis.misbehaving(cut) as upstream,
        AiohttpTransport(connect_s=2) as transport,
        exchange(transport, upstream.url) as (_, response),
    ):
        assert response.extensions["framed"] is False
        assert len(b"".join([chunk async for chunk in response.aiter_raw()])) == 5000


async def test_an_unreadable_chunk_is_left_to_the_reader_s_own_clock() -> None:
    async with (
        mis.misbehaving(mis.spoils_a_chunk(BODY)) as upstream,
        AiohttpTransport(connect_s=2) as transport,
    ):
        with pytest.raises((TimeoutError, httpx.TransportError)):
            async with asyncio.timeout(0.3):
                await read(transport, upstream.url)
        await upstream.requests[0].left(1.0)


async def test_no_cookie_is_ever_sent_back() -> None:
    # Cookies of bare addresses are ignored by any jar: a name it must be.
    setting = mis.speaks(BODY, headers={"set-cookie": "who=somebody; Path=/"})
    async with (
        mis.misbehaving(setting) as upstream,
        AiohttpTransport(connect_s=2) as transport,
    ):
        url = upstream.url.replace("127.0.0.1", "localhost")
        for _ in range(2):
            assert await read(transport, url) == BODY
        assert all("cookie" not in seen.headers for seen in upstream.requests)


async def test_redirects_are_not_followed() -> None:
    elsewhere = mis.answers({}, status=307, headers={"location": "/elsewhere"})
    async with (
        mis.misbehaving(elsewhere) as upstream,
        AiohttpTransport(connect_s=2) as transport,
        exchange(transport, upstream.url) as (_, response),
    ):
        assert response.status_code == 307
        assert len(upstream.requests) == 1


async def test_an_explicit_proxy_is_used_and_the_environment_s_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with mis.misbehaving(mis.speaks(BODY)) as upstream:
        async with AiohttpTransport(connect_s=2, proxy=upstream.url) as transport:
            assert await read(transport, "http://far.invalid/v1/speech") == BODY
        async with AiohttpTransport(connect_s=2) as transport:
            assert await read(transport, upstream.url + "/direct") == BODY
        assert [seen.target for seen in upstream.requests] == [
            "http://far.invalid/v1/speech",
            "/direct",
        ]


async def test_a_dead_proxy_has_its_own_name() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with AiohttpTransport(connect_s=2, proxy=proxy) as transport:
            with pytest.raises(httpx.ProxyError):
                await read(transport, "http://far.invalid/")


@pytest.mark.parametrize("content", [b"x" * 100, b"x" * 100_000, b"x" * 3_000_000])
async def test_a_request_s_body_arrives_whole(content: bytes) -> None:
    async with (
        mis.misbehaving(mis.speaks(BODY)) as upstream,
        AiohttpTransport(connect_s=2) as transport,
    ):
        async with exchange(transport, upstream.url, content=content):
            pass
        seen = upstream.requests[0]
        assert seen.body == content
        assert seen.headers["content-length"] == str(len(content))
        assert seen.headers["accept-encoding"] != "gzip"


@pytest.mark.parametrize(
    "behaviour",
    [
        mis.says_nothing(),
        mis.falls_silent(WAV, after=5000),
        mis.speaks(WAV * 100, every_s=0.01, piece_bytes=100),
    ],
)
async def test_a_cancelled_exchange_is_closed_upstream_at_once(behaviour: mis.Behaviour) -> None:
    async with (
        mis.misbehaving(behaviour) as upstream,
        AiohttpTransport(connect_s=2) as transport,
    ):
        reading = asyncio.ensure_future(read(transport, upstream.url))
        seen = await upstream.request()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await seen.left(0.5)


async def test_many_cancelled_exchanges_leave_room_for_all_that_follow() -> None:
    slow = mis.speaks(WAV, every_s=0.001, piece_bytes=500)
    async with (
        mis.misbehaving({"/slow": slow, "/": mis.speaks(BODY)}) as upstream,
        AiohttpTransport(connect_s=2) as transport,
    ):
        for moment in range(100):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(moment / 10_000):
                    await read(transport, upstream.url + "/slow")
        answers = await asyncio.gather(*(read(transport, upstream.url + "/") for _ in range(40)))
        assert answers == [BODY] * 40
        for seen in upstream.requests:
            if seen.path == "/slow":
                await seen.left(1.0)
