"""Whatever is sent: never a failure of ours, and every refusal in the right envelope."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

from tests.api.served import NANO, NEWER, SHARED, Served, application

MOST = settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,
)
TTS = ("/tts", "/api/tts", "/tts/status", "/api/tts/status")
PATHS = (SHARED, NEWER, NANO, "/v1/route/explain", "/v1/audio/speech/jobs", "/tts")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application on a real socket, so that its server's own answers are seen, too."""
    app, _ = application(tmp_path_factory.mktemp("fuzz"), [])
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="on", timeout_keep_alive=60)
        )
        thread = threading.Thread(target=server.run, args=([listener],), name="server")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


def check(
    status: int, type_: str, body: bytes, told: object, *, path: str = "", head: bool = False
) -> None:
    """No failure of ours; and where it is refused, the envelope of its path."""
    assert status < 500, (status, body[:300], told)
    if status < 400 or head:
        return
    assert type_ == "application/json", (status, type_, told)
    assert len(body) < 5_000, "a refusal does not echo what was sent"
    error = json.loads(body)["error"]
    if path in TTS:
        assert isinstance(error, str), told
        assert error
        return
    assert set(error) == {"message", "type", "param", "code"}, told
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)


# ---- by the OpenAPI document


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_nothing_that_the_document_describes_or_forbids_makes_a_failure_of_ours(
    url: str, mode: GenerationMode
) -> None:
    document = httpx.get(f"{url}/schema/openapi.json", trust_env=False).json()
    tried: set[str] = set()
    with requests.Session() as session:
        session.trust_env = False
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            assert isinstance(found, Ok), "the document can be read"
            operation = found.ok()
            summary = operation.definition.raw["summary"]
            if summary in tried:
                continue  # another spelling of the same path
            if mode is GenerationMode.NEGATIVE and "{" in operation.path:
                continue  # what a path cannot be is found slowly; see `test_no_path_…`

            @settings(MOST, max_examples=10 if operation.method == "post" else 4)
            @given(case=operation.as_strategy(generation_mode=mode))
            def send(case: Case[Any]) -> None:
                answer = case.call(base_url=url, session=session, timeout=20)
                type_ = answer.headers.get("content-type", [""])[0]
                told = case.as_curl_command()[:500]
                check(answer.status_code, type_, answer.content, told, path=case.operation.path)

            with contextlib.suppress(Unsatisfiable):  # nothing can be wrong where nothing is sent
                send()
            tried.add(summary)
    assert len(tried) >= 9


# ---- by what clients really get wrong

WILD: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["nan", "inf", "1e999", "true", "", " ", "\0", "../..", "\r\nx: y", "é" * 300]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "model": st.sampled_from(["tts-1", "moss-tts-nano", "org/tts-2", "plain", "short"]) | WILD,
    "input": st.text(max_size=60) | st.just("Hello.") | WILD,
    "voice": st.sampled_from(["alloy", "nova", {"id": "echo"}]) | WILD,
    "response_format": st.sampled_from(["wav", "pcm", "mp3", "wave", "mpeg", "pcm16", "ogg"])
    | WILD,
    "format": st.sampled_from(["wav", "pcm16", "mpeg", "flac", "opus"]) | WILD,
    "sample_rate": st.sampled_from([8_000, "16000", 44_100.0]) | WILD,
    "speed": st.floats(0.25, 4) | WILD,
    "pitch": st.floats(-100, 100) | WILD,
    **dict.fromkeys(
        (
            *("language", "instructions", "stream", "stream_format", "seed", "temperature"),
            *("text", "output_format", "items", "metadata", "webhook_url", "expires_in"),
            *("top_p", "extra", "emotion", "stability", "similarity", "prompt_audio", "ref_audio"),
        ),
        WILD,
    ),
}
OBJECTS = st.fixed_dictionaries(
    {"input": FIELDS["input"]},
    optional={name: values for name, values in FIELDS.items() if name != "input"},
)
BYTES = st.binary(max_size=200) | st.sampled_from(
    [
        b"--b\r\n",
        b'--b\r\nContent-Disposition: form-data; name="input"\r\n\r\nHi\r\n--b--\r\n',
        b'{"input": "Hello."}',
    ]
)
TYPES = st.sampled_from(
    [
        "application/json",
        "multipart/form-data; boundary=b",
        "multipart/form-data; boundary=",
        "application/x-www-form-urlencoded",
        "text/plain",
        "",
    ]
) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@settings(MOST, max_examples=120)
@given(path=st.sampled_from(PATHS), body=OBJECTS)
def test_no_json_object_makes_a_failure_of_ours(running: Served, path: str, body: Any) -> None:
    answer = running.post(path, json=body)
    check(answer.status_code, answer.headers["content-type"], answer.content, body, path=path)


@settings(MOST, max_examples=80)
@given(path=st.sampled_from(PATHS), body=OBJECTS, multipart=st.booleans())
def test_no_form_makes_a_failure_of_ours(
    running: Served, path: str, body: Any, multipart: bool
) -> None:
    fields = {
        name: value if isinstance(value, str) else repr(value) for name, value in body.items()
    }
    files = {"x": (None, "y")} if multipart else None
    answer = running.post(path, data=fields, files=files)
    check(answer.status_code, answer.headers["content-type"], answer.content, fields, path=path)


@settings(MOST, max_examples=100)
@given(path=st.sampled_from(PATHS), body=BYTES, type_=TYPES)
def test_no_bytes_of_any_type_make_a_failure_of_ours(
    running: Served, path: str, body: bytes, type_: str
) -> None:
    answer = running.post(path, content=body, headers={"content-type": type_})
    told = (body, type_)
    check(answer.status_code, answer.headers["content-type"], answer.content, told, path=path)


@settings(MOST, max_examples=100)
@given(
    data=st.binary(max_size=300), start=st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"ID3", b"OggS"])
)
def test_no_sample_makes_a_failure_of_ours(running: Served, data: bytes, start: bytes) -> None:
    answer = running.post(
        "/v1/route/explain", data={"input": "Hi."}, files={"prompt_audio": ("x", start + data)}
    )
    check(answer.status_code, answer.headers["content-type"], answer.content, start + data)


HEADERS = st.sampled_from(
    [
        *(b"origin", b"host", b"accept", b"x-request-id", b"authorization", b"x-api-key"),
        *(b"x-forwarded-for", b"content-length", b"content-encoding", b"cookie", b"range"),
        *(b"accept-language", b"expect", b"access-control-request-method", b"if-none-match"),
    ]
)
VALUES = st.binary(max_size=40) | st.sampled_from(
    [b"http://[", b"http://localhost:x", b"[::1", b"localhost:99999", b"Bearer ", b"bearer a b c"]
)


@settings(MOST, max_examples=120)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "X"]),
    path=st.sampled_from(["/v1/models", "/v1/models/x", SHARED, "/health/ready", "/nowhere"]),
    headers=st.dictionaries(HEADERS, VALUES, max_size=3),
)
def test_no_headers_make_a_failure_of_ours(
    running: Served, method: str, path: str, headers: dict[bytes, bytes]
) -> None:
    answer = running.client.request(
        method, path, headers=list(headers.items()), content=b"{}" if method == "POST" else None
    )
    type_ = answer.headers.get("content-type", "")
    check(answer.status_code, type_, answer.content, (method, headers), head=method == "HEAD")


@settings(MOST, max_examples=50)
@given(
    path=st.text(max_size=30),
    root=st.sampled_from(
        [
            *("/", "/v1/models/", "/v1/voices/", "/schema/", "/v1/audio/"),
            *(
                "/v1/audio/speech/jobs/",
                "/v1/audio/files/",
                "/v1/audio/files/x/",
                "/admin/v1/keys/",
            ),
        ]
    ),
)
def test_no_path_makes_a_failure_of_ours(running: Served, root: str, path: str) -> None:
    quoted = root + quote(path)
    answer = running.client.get(quoted, follow_redirects=False)
    check(answer.status_code, answer.headers.get("content-type", ""), answer.content, quoted)
    assert answer.status_code not in (301, 302, 307, 308)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v1/models HTTP/1.1\r\n\r\n",
        b"GET /v1/models HTTP/1.0\r\n\r\n",
        b"GET /v1/models/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/models/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nCookie: \xff=\xfe;;=\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: ,,,\xff\r\n\r\n",
        b"GET /v1/models?a=%ff&b[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        b"Content-Type: \xff/\xfe; boundary=\xff\r\n\r\n{}",
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        b"Content-Type: multipart/form-data; boundary=\xff\xfe\r\n\r\n{}",
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01",
    ],
)
def test_no_bytes_on_the_wire_make_a_failure_of_ours(url: str, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), 10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            status = connection.makefile("rb").readline().split()
            assert not status or int(status[1]) < 500, status


def test_the_server_still_speaks_after_all_that(url: str) -> None:
    answer = httpx.post(f"{url}{SHARED}", json={"input": "Hello."}, trust_env=False)
    assert answer.status_code == 200
