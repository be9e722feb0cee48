"""The door: methods, paths, hosts and origins, as they come over a socket."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.support.process import ServerProcess
from tests.support.scripts import SPEECH, asking
from tests.support.wire import Answer, connected, exchange

SPEECHES = ("/v1/audio/speech", "/v1/speech", "/api/v1/audio/speech")
READABLE = ("/v1/models", "/v1/models/good", "/v1/voices", "/health/live", "/health/ready")
LOOPBACK_ORIGINS = (
    *("http://localhost", "http://localhost:3000", "https://localhost:8443"),
    *("http://127.0.0.1:8000", "http://[::1]:5173", "http://app.localhost:3000"),
)
FOREIGN_ORIGINS = (
    *("https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example"),
    *("null", "file://", "http://evil.example:8080", "chrome-extension://abcdef"),
)


def _is_envelope(answer: Answer) -> bool:
    names = {"message", "type", "param", "code"}
    is_json = answer.headers["content-type"].startswith("application/json")
    return is_json and set(answer.error) == names and bool(answer.error["message"])


@pytest.mark.parametrize("path", READABLE)
async def test_head_is_a_get_without_its_body(cast: ServerProcess, path: str) -> None:
    async with connected(cast.url) as line:
        await line.ask(path)
        got = await line.answer()
        await line.ask(path, method="HEAD")
        head = await line.answer(has_body=False)
        await line.ask(path)
        again = await line.answer()

    assert (head.status, got.status, again.status) == (200, 200, 200)
    for name in ("content-type", "content-length"):
        assert head.headers.get(name) == got.headers.get(name)
    assert again.body == got.body


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/audio", "/v1/readyz", "/v1/test"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE"])
async def test_nothing_there_is_a_404_in_the_envelope(
    cast: ServerProcess, path: str, method: str
) -> None:
    body = asking() if method == "POST" else None
    answer = await exchange(cast.url, path, body, method=method)

    assert answer.status == 404
    assert method == "HEAD" or _is_envelope(answer)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *(("GET", path, "POST") for path in SPEECHES),
        *(("PUT", path, "POST") for path in SPEECHES),
        *(("DELETE", path, "POST") for path in SPEECHES),
        ("POST", "/v1/models", "GET"),
        ("POST", "/v1/voices", "GET"),
        ("PATCH", "/health/ready", "GET"),
    ],
)
async def test_another_method_is_a_405_that_names_the_right_one(
    cast: ServerProcess, method: str, path: str, allowed: str
) -> None:
    body = asking("good") if method != "GET" else None
    answer = await exchange(cast.url, path, body, method=method)

    assert answer.status == 405
    assert _is_envelope(answer)
    assert allowed in answer.headers["allow"]


async def test_head_on_a_speech_path_is_a_405_without_a_body(cast: ServerProcess) -> None:
    async with connected(cast.url) as line:
        await line.ask(SPEECH, method="HEAD")
        assert (await line.answer(has_body=False)).status == 405
        await line.ask("/health/live")
        assert (await line.answer()).status == 200


@pytest.mark.parametrize("path", ["/v1/models", *SPEECHES])
async def test_options_names_the_methods(cast: ServerProcess, path: str) -> None:
    answer = await exchange(cast.url, path, method="OPTIONS")

    assert answer.status in (200, 204)
    assert ("GET" if path == "/v1/models" else "POST") in answer.headers["allow"]


@pytest.mark.parametrize("origin", LOOPBACK_ORIGINS)
async def test_a_page_of_this_machine_may_call(cast: ServerProcess, origin: str) -> None:
    asks = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
    }
    preflight = await exchange(cast.url, SPEECH, method="OPTIONS", headers=asks)
    answer = await exchange(cast.url, SPEECH, asking("good"), headers={"Origin": origin})

    assert preflight.status in (200, 204)
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert allowed == "*" or {"authorization", "content-type"} <= set(allowed.split(", "))
    assert answer.whole
    for given in (preflight, answer):
        assert given.headers["access-control-allow-origin"] in (origin, "*")
        assert "access-control-allow-credentials" not in given.headers
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()


async def test_a_page_of_this_machine_can_read_a_refusal(cast: ServerProcess) -> None:
    origin = {"Origin": "http://localhost:3000"}
    answer = await exchange(cast.url, SPEECH, asking("nobody"), headers=origin)

    assert answer.status == 404
    assert answer.headers["access-control-allow-origin"] in (origin["Origin"], "*")


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_a_foreign_page_may_not(cast: ServerProcess, origin: str, method: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    path, body = ("/v1/models", None) if method == "GET" else (SPEECH, None)
    body = asking("good") if method == "POST" else body
    answer = await exchange(cast.url, path, body, method=method, headers=headers)

    assert answer.status == 403
    assert _is_envelope(answer)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "localhost.evil.example", "192.168.1.7", "["]
)
async def test_a_name_that_is_not_ours_is_not_answered(cast: ServerProcess, host: str) -> None:
    """A page that rebinds a name of its own to this address still says that name."""
    headers = {"Host": host.format(port=urlsplit(cast.url).port)}
    for path, body in (("/v1/models", None), (SPEECH, asking("good"))):
        answer = await exchange(cast.url, path, body, headers=headers)

        assert answer.status == 403
        assert _is_envelope(answer)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "a.localhost"]
)
async def test_every_name_of_this_machine_is_answered(cast: ServerProcess, host: str) -> None:
    answer = await exchange(cast.url, "/v1/models", headers={"Host": host})

    assert answer.status == 200


@pytest.mark.parametrize("path", [f"{path}/" for path in (*SPEECHES, "/audio/speech")])
async def test_no_spelling_of_a_path_is_redirected(cast: ServerProcess, path: str) -> None:
    body = asking("good", response_format="wav", format="wav")
    answer = await exchange(cast.url, path, body)

    assert (answer.status, answer.whole) == (200, True)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/speech HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_request_is_a_400_or_silence(cast: ServerProcess, garbage: bytes) -> None:
    async with connected(cast.url) as line:
        await line.send(garbage)
        line.finish()
        with suppress(EOFError):
            assert (await line.answer()).status == 400
    assert (await exchange(cast.url, "/health/live")).status == 200
