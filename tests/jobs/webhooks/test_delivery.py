"""One try: where it connects, what it follows, what it reads, what it tells."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult

from router.jobs.webhooks.delivery import HOPS, Outcome, Post, delivered
from router.jobs.webhooks.dialing import dialing
from router.jobs.webhooks.targets import is_any, is_public
from tests.jobs.webhooks.receivers import Names, receiving, saying

BODY = b'{"type":"job.completed"}'
HEADERS = {"webhook-id": "msg_1"}
PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"
"""Both are of this machine; the tests that need a public address take the first for one."""


def takes_one_for_public(address: str) -> bool:
    return address == PUBLIC


async def tried(
    url: str,
    names: Sequence[Sequence[str]] = (),
    *,
    allows: Callable[[str], bool] = is_any,
    allow_private: bool = True,
    timeout_s: float = 5.0,
) -> Outcome:
    async with dialing(allows, Names(*names) if names else None) as session:
        post = Post(url, HEADERS, BODY)
        return await delivered(session, post, timeout_s=timeout_s, allow_private=allow_private)


@asynccontextmanager
async def listening(host: str = PRIVATE) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port that takes what comes, and the first bytes of each connection."""
    came: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(take, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1], came


async def test_a_message_arrives_as_it_is() -> None:
    async with receiving() as heard:
        assert await tried(heard.url + "?token=1") == Outcome(ok=True, word="")
    assert heard.bodies == [BODY]
    assert heard.paths == ["/hook?token=1"]
    headers = {name.lower(): value for name, value in heard.headers[0].items()}
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "msg_1"
    assert not {"cookie", "authorization", "referer"} & set(headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_delivered(status: int) -> None:
    async with receiving(saying(status)) as heard:
        assert (await tried(heard.url)).ok


@pytest.mark.parametrize("status", [303, 304, 400, 401, 404, 409, 429, 500, 503])
async def test_every_other_status_is_to_be_tried_again(status: int) -> None:
    async with receiving(saying(status, location="/elsewhere")) as heard:
        assert await tried(heard.url) == Outcome(ok=False, word=f"http_{status}")
    assert heard.paths == ["/hook"]


async def test_who_says_410_wants_no_more() -> None:
    async with receiving(saying(410)) as heard:
        assert await tried(heard.url) == Outcome(ok=False, word="http_410", is_final=True)


@pytest.mark.parametrize(
    ("said", "wait_s"), [("7", 7.0), ("999999999", 3600.0), ("-5", 0.0), ("soon", 0.0), ("²", 0.0)]
)
async def test_a_retry_after_is_kept_to_within_reason(said: str, wait_s: float) -> None:
    async with receiving(saying(503, retry_after=said)) as heard:
        assert (await tried(heard.url)).wait_s == wait_s


# ---- where it connects


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]", "[::]", "localhost"),
        *("2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "0"),
        *("①②⑦.⓪.⓪.①", "127。0。0。1", "127.0.0.1.", "localhost."),
    ],
)
async def test_no_spelling_of_this_machine_is_connected_to(host: str) -> None:
    """With what is written taken as it is, so that only the lock at the socket is left."""
    async with listening() as (port, came), dialing(is_public) as session:
        post = Post(f"http://{host}:{port}/", HEADERS, BODY)
        outcome = await delivered(session, post, timeout_s=5, allow_private=True)
    assert not outcome.ok
    assert outcome.word in {"forbidden_address", "bad_address", "bad_redirect", "unknown_name"}
    assert came == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "224.0.0.1"),
        *("::1", "::ffff:127.0.0.1", "fe80::1", "fd00::1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    ],
)
async def test_a_name_that_leads_to_a_private_address_is_not_followed(address: str) -> None:
    url = "http://receiver.example:9/"
    outcome = await tried(url, [[address]], allows=is_public, allow_private=False)
    assert outcome.word == "forbidden_address"


async def test_of_a_name_s_addresses_only_the_public_ones_are_connected_to() -> None:
    async with (
        receiving(host=PUBLIC) as heard,
        dialing(takes_one_for_public, Names([PRIVATE, "10.0.0.1", PUBLIC])) as session,
    ):
        url = f"http://receiver.example:{heard.port}/"
        outcome = await delivered(
            session, Post(url, HEADERS, BODY), timeout_s=5, allow_private=False
        )
    assert outcome.ok
    assert heard.bodies == [BODY]


async def test_a_name_whose_answer_changes_is_connected_to_where_it_was_checked() -> None:
    """The name server answers otherwise at each question: whatever was checked is connected to."""
    answers = [[PUBLIC], [PRIVATE]] * 5
    names = Names(*answers)
    async with receiving(host=PUBLIC) as heard:
        with socket.create_server((PRIVATE, heard.port)) as private:
            private.setblocking(False)
            async with dialing(takes_one_for_public, names) as session:
                url = f"http://receiver.example:{heard.port}/"
                words = [
                    (
                        await delivered(
                            session, Post(url, HEADERS, BODY), timeout_s=5, allow_private=False
                        )
                    ).word
                    for _ in answers
                ]
            with pytest.raises(BlockingIOError):
                private.accept()
    assert words == ["", "forbidden_address"] * 5
    assert len(heard.bodies) == 5
    assert len(names.asked) == len(answers), "each try asks once: nothing lies between"


async def test_host_and_tls_name_stay_those_of_the_address() -> None:
    async with receiving() as heard:
        await tried(f"http://receiver.example:{heard.port}/", [[PRIVATE]])
    assert heard.headers[0]["Host"] == f"receiver.example:{heard.port}"
    async with listening() as (port, came):
        outcome = await tried(f"https://receiver.example:{port}/", [[PRIVATE]])
    assert not outcome.ok
    assert b"receiver.example" in came[0], "the name in the first bytes of TLS"


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as heard, listening() as (port, came):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        assert (await tried(heard.url)).ok
    assert came == []


# ---- redirects


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_followed_by_the_same_post(status: int) -> None:
    async with receiving() as second, receiving(saying(status, location=second.url)) as first:
        assert (await tried(first.url)).ok
    assert second.bodies == [BODY]
    assert second.headers[0]["webhook-id"] == "msg_1"


async def test_a_redirect_may_be_relative() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/there":
            return web.Response()
        return web.Response(status=308, headers={"location": "there"})

    async with receiving(answer) as heard:
        assert (await tried(heard.url)).ok
    assert heard.paths == ["/hook", "/there"]


async def test_redirects_without_an_end_are_followed_a_few_times() -> None:
    async with receiving(saying(307, location="/again")) as heard:
        assert (await tried(heard.url)).word == "too_many_redirects"
    assert len(heard.paths) == HOPS + 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:7f00:1]", "localhost", "2130706433"])
async def test_a_redirect_to_a_private_address_is_not_followed(host: str) -> None:
    async with listening() as (port, came):
        leads = saying(307, location=f"http://{host}:{port}/")
        async with receiving(leads, host=PUBLIC) as heard:
            url = f"http://receiver.example:{heard.port}/"
            outcome = await tried(url, [[PUBLIC]], allows=takes_one_for_public, allow_private=False)
    assert outcome.word == "bad_redirect"
    assert came == []


async def test_a_redirect_to_a_name_that_leads_to_a_private_address_is_not_followed() -> None:
    async with listening() as (port, came):
        leads = saying(307, location=f"http://other.example:{port}/")
        async with receiving(leads, host=PUBLIC) as heard:
            url = f"http://receiver.example:{heard.port}/"
            outcome = await tried(
                url, [[PUBLIC], [PRIVATE]], allows=takes_one_for_public, allow_private=False
            )
    assert outcome.word == "forbidden_address"
    assert came == []


@pytest.mark.parametrize(
    "location",
    ["ftp://example.com/", "http://me:word@127.0.0.1/", "file:///etc/passwd", "http://["],
)
async def test_a_redirect_to_what_is_no_address_of_the_web_is_not_followed(location: str) -> None:
    async with receiving(saying(307, location=location)) as heard:
        assert (await tried(heard.url)).word in {"bad_redirect", "bad_address"}
    assert len(heard.paths) == 1


# ---- bounds


async def test_one_limit_spans_all_of_a_try() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.2)
        return web.Response(status=307, headers={"location": "/again"})

    async with receiving(slow) as heard:
        began = time.monotonic()
        outcome = await tried(heard.url, timeout_s=0.5)
        took_s = time.monotonic() - began
    assert outcome.word == "timed_out"
    assert took_s < 3


async def test_a_name_server_that_does_not_answer_is_left() -> None:
    class Silent(Names):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            await asyncio.sleep(60)
            return []

    async with dialing(is_any, Silent()) as session:
        post = Post("http://receiver.example/", HEADERS, BODY)
        outcome = await delivered(session, post, timeout_s=0.2, allow_private=True)
    assert outcome.word == "timed_out"


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_without_end_is_not_read_to_its_end(status: int) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse(status=status)
        await answer.prepare(request)
        while True:
            await answer.write(bytes(65_536))
            sent += 65_536

    async with receiving(endless) as heard:
        outcome = await tried(heard.url, timeout_s=5)
    assert outcome.ok is (status == 200)
    assert sent < 64 << 20


async def test_an_answer_whose_body_never_comes_is_known_by_its_status() -> None:
    async def stalls(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=200)
        answer.content_length = 10
        await answer.prepare(request)
        await asyncio.sleep(60)
        return answer

    async with receiving(stalls) as heard:
        assert (await tried(heard.url, timeout_s=5)).ok


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (b"", "broken_off"),
        (b"not HTTP at all\r\n\r\n", "broken_off"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", "broken_off"),
    ],
)
async def test_what_is_no_answer_is_none(words: bytes, word: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(words)
        writer.close()

    server = await asyncio.start_server(speak, PRIVATE, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await tried(f"http://127.0.0.1:{port}/")).word == word


async def test_nobody_there_and_nobody_known_are_told_apart() -> None:
    with socket.create_server((PRIVATE, 0)) as taken:
        port = taken.getsockname()[1]
    assert (await tried(f"http://127.0.0.1:{port}/")).word == "unreachable"
    assert (await tried("http://nobody.invalid/")).word == "unknown_name"
    async with receiving() as heard:
        url = f"https://127.0.0.1:{heard.port}/"
        assert (await tried(url)).word in {"tls", "unreachable"}
