"""Every failure is told in the caller's own envelope, by the table of failures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from router.contract.errors import (
    Broken,
    Busy,
    Disconnected,
    NotReady,
    NotSpeech,
    Refused,
    TimedOut,
    Unreachable,
)
from router.testing.script import Raise, Script
from tests.api.served import MARKER, NANO, NEWER, SHARED, Served, envelope, served

INVALID = "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "fields", "status", "type_", "code", "param"),
    [
        (SHARED, {"model": "nobody"}, 404, INVALID, "model_not_found", "model"),
        (NEWER, {"model": "nobody"}, 404, INVALID, "model_not_found", "model"),
        (NANO, {"model": "nobody"}, 400, "invalid_model", "invalid_model", "model"),
        (SHARED, {"voice": "nobody"}, 400, INVALID, "invalid_voice", "voice"),
        (NEWER, {"voice": "nobody"}, 400, INVALID, "invalid_voice", "voice"),
        (NANO, {"voice": "nobody"}, 400, "invalid_voice", "invalid_voice", "voice"),
        (SHARED, {"input": "x" * 4097}, 400, INVALID, "input_too_long", "input"),
        (NEWER, {"input": "x" * 4097}, 400, INVALID, "string_above_max_length", "input"),
        (NANO, {"input": "x" * 4097}, 400, "input_too_long", "input_too_long", "input"),
    ],
)
def test_each_shape_tells_a_failure_in_its_own_words(
    api: Served,
    path: str,
    fields: dict[str, Any],
    status: int,
    type_: str,
    code: str,
    param: str,
) -> None:
    fields = {"voice": "alloy", **fields}
    error = envelope(api.asks(path, **fields), status)
    assert (error["type"], error["code"], error["param"]) == (type_, code, param)
    assert api.records[-1].outcome == "refused"
    assert api.records[-1].status == status


def test_too_long_says_the_limit_and_the_actual_length_in_code_points(api: Served) -> None:
    assert api.asks(model="short", voice="alloy", input="🗣" * 10).status_code == 200
    error = envelope(api.asks(model="short", voice="alloy", input="🗣" * 11), 400)
    assert "11" in error["message"]
    assert "10" in error["message"]


@pytest.mark.parametrize(
    ("errors", "status", "type_"),
    [
        (Refused("The upstream's own words."), 400, INVALID),
        (Busy("x", retry_after=7.2), 503, "service_unavailable"),
        (NotReady("x"), 503, "service_unavailable"),
        (TimedOut("x"), 504, "server_error"),
        (Broken(MARKER), 502, "server_error"),
        (Unreachable(MARKER), 502, "server_error"),
        (Disconnected(MARKER), 502, "server_error"),
        (NotSpeech(MARKER), 502, "server_error"),
        (RuntimeError(MARKER), 502, "server_error"),
    ],
)
@pytest.mark.parametrize("path", [SHARED, NEWER, NANO])
def test_when_nobody_spoke_the_status_says_whose_fault_it_was(
    api: Served, path: str, errors: Exception, status: int, type_: str
) -> None:
    before, api.able.play = api.able.play, Script(entering=(Raise(errors),))
    try:
        answer = api.asks(path)
    finally:
        api.able.play = before
    error = envelope(answer, status)
    assert error["type"] == type_
    record = api.records[-1]
    assert (record.outcome, record.status) == ("failed", status)
    assert answer.headers["x-tts-fallback"] == f"able={getattr(errors, 'reason', 'broken')}"
    if isinstance(errors, Busy):
        assert answer.headers["retry-after"] == "8"
    if isinstance(errors, Refused):
        assert "own words" in error["message"]


def test_a_route_with_nobody_on_it_says_so_and_that_asking_again_is_of_no_use(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as api:
        api.able.offering = {}
        from router.contract.record import OffersChanged  # noqa: PLC0415  # only here

        api.speaker.observers.noticed(OffersChanged("able"))
        answer = api.asks()
        error = envelope(answer, 503)
        assert "able: it offers no model now" in error["message"]
        assert answer.headers["x-should-retry"] == "false"


# ---- bodies that are none


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b"\xff\xfe",
        b"{'input': 'x'}",
        b'{"input": "\\ud800"}',
        b'{"input": "\xed\xa0\x80"}',
        b'{"input": NaN}',
        b'{"input": "a", "\\udfff": 1}',
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"[" * 100_000,
        b'{"input": "x", "extra": ' + b'{"a":' * 990 + b"1" + b"}" * 991,
    ],
)
@pytest.mark.parametrize("path", [SHARED, NANO])
def test_what_is_no_json_object_is_refused(api: Served, path: str, body: bytes) -> None:
    answer = api.post(path, content=body, headers={"content-type": "application/json"})
    assert envelope(answer, 400)["type"] == INVALID


@pytest.mark.parametrize("depth", range(900, 1_001, 5))
def test_no_depth_of_extra_makes_a_failure_of_ours(api: Served, depth: int) -> None:
    body = b'{"input": "Hello.", "extra": ' + b'{"a":' * depth + b"1" + b"}" * (depth + 1)
    answer = api.post(content=body)
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        envelope(answer, 400)


@pytest.mark.parametrize("extra", ["[" * 5_000, '{"a":' * 5_000, "{", "[1]", "nan", "5"])
def test_extra_in_a_form_is_an_object_or_refused(api: Served, extra: str) -> None:
    error = envelope(api.post(data={"input": "Hello.", "extra": extra}), 400)
    assert error["param"] == "extra"


def test_a_byte_order_mark_is_no_fault(api: Served) -> None:
    body = b'\xef\xbb\xbf{"input": "Hello."}'
    assert api.post(content=body).status_code == 200


@pytest.mark.parametrize(
    "type_",
    [
        None,
        "",
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
        ' application/json ; x="',
    ],
)
def test_json_is_read_under_every_name_it_has(api: Served, type_: str | None) -> None:
    headers = {} if type_ is None else {"content-type": type_}
    assert api.post(content=b'{"input": "Hello."}', headers=headers).status_code == 200


@pytest.mark.parametrize(
    "type_", ["text/plain", "application/xml", "audio/wav", "multipart/mixed; boundary=x", "json"]
)
def test_other_media_types_are_refused(api: Served, type_: str) -> None:
    answer = api.post(content=b'{"input": "Hello."}', headers={"content-type": type_})
    error = envelope(answer, 415)
    assert error["code"] == "unsupported_media_type"
    assert "application/json" in error["message"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP", "identity, gzip"])
def test_a_compressed_body_is_refused(api: Served, encoding: str) -> None:
    answer = api.post(content=b"x", headers={"content-encoding": encoding})
    envelope(answer, 415)
    plain = {"content-encoding": "identity", "content-type": "application/json"}
    assert api.post(content=b'{"input": "Hello."}', headers=plain).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"content-type": "application/json"}, {"content-type": "multipart/form-data; boundary=x"}],
)
def test_a_body_beyond_the_limit_is_refused(api: Served, headers: dict[str, str]) -> None:
    error = envelope(api.post(content=b" " * 8_400_000, headers=headers), 413)
    assert error["code"] == "body_too_large"


@pytest.mark.parametrize("length", ["abc", "-1", "1_0", ""])
def test_a_content_length_that_is_no_number_makes_no_failure_of_ours(
    api: Served, length: str
) -> None:
    answer = api.post(content=b'{"input": "Hello."}', headers={"content-length": length})
    assert answer.status_code < 500


# ---- paths, methods, hosts


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/audio/speech", "/v1/readyz", "/health", "/schema/x"]
)
def test_an_unknown_path_carries_the_envelope(api: Served, path: str) -> None:
    assert envelope(api.client.get(path), 404)["type"] == INVALID


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", SHARED), ("PUT", SHARED), ("PATCH", NANO), ("POST", "/v1/models"), ("FOO", NANO)],
)
def test_a_wrong_method_carries_the_envelope_and_allow(api: Served, method: str, path: str) -> None:
    answer = api.client.request(method, path)
    envelope(answer, 405)
    assert ("POST" in answer.headers["allow"]) == (path != "/v1/models")


def test_head_is_get_without_a_body_and_options_says_what_may_be_done(api: Served) -> None:
    for path in ("/v1/models", "/v1/voices", "/health/live", "/schema/openapi.json"):
        head, get = api.client.head(path), api.client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
        assert api.client.options(path).status_code == 204
    assert api.client.head(SHARED).status_code == 405
    assert "POST" in api.client.options(SHARED).headers["allow"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "192.168.1.5",
        "[",
        "a b",
        "[::1",
        "@",
        "localhost:x",
        "lo\tcalhost",
    ],
)
def test_a_foreign_host_is_forbidden(api: Served, host: str) -> None:
    error = envelope(api.client.get("/v1/models", headers={"host": host}), 403)
    assert error["type"] == "permission_denied_error"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:80", "a.localhost."]
)
def test_this_machine_is_answered_under_each_of_its_names(api: Served, host: str) -> None:
    assert api.client.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "file://",
        "http://[",
        "http://[::1",
        "http://lo\tcalhost",
        "http://localhost:x",
        "://",
        "http://\u00bd.example",
    ],
)
def test_a_foreign_page_may_not_spend_the_users_money(api: Served, origin: str) -> None:
    headers = [(b"origin", origin.encode("latin-1")), (b"host", b"localhost")]
    answer = api.client.post(SHARED, content=b"{}", headers=headers)
    envelope(answer, 403)
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_this_machine_may_call(api: Served) -> None:
    answer = api.client.get("/v1/models", headers={"origin": "http://localhost:3000"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "access-control-allow-credentials" not in answer.headers


def test_configured_hosts_and_origins_are_answered(tmp_path: Path) -> None:
    server = {
        "hosts": ["Tts.example"],
        "origins": ["https://App.example/"],
        "public_url": "https://speech.example/base",
    }
    with served(tmp_path, server) as api:
        for host in ("tts.example", "TTS.example:443", "speech.example"):
            assert api.client.get("/v1/models", headers={"host": host}).status_code == 200
        for origin in ("https://app.example", "https://speech.example"):
            assert api.client.get("/v1/models", headers={"origin": origin}).status_code == 200
        envelope(api.client.get("/v1/models", headers={"host": "other.example"}), 403)


# ---- headers that go out


def test_a_voice_of_any_script_goes_out_in_ascii(api: Served) -> None:
    answer = api.asks(voice="ØRSTED")
    assert answer.status_code == 200
    assert answer.headers["x-tts-voice"] == "%C3%B8rsted"
    for name, value in answer.headers.raw:
        assert (name + value).isascii()


@pytest.mark.parametrize("given", ["my-id.7:/+=@_", "a" * 128])
def test_a_harmless_request_id_is_kept(api: Served, given: str) -> None:
    for answer in (
        api.post(json={"input": "Hello."}, headers={"x-request-id": given}),
        api.post(json={}, headers={"x-request-id": given}),
    ):
        assert answer.headers["x-request-id"] == given
        assert api.records[-1].request_id == given


@pytest.mark.parametrize("given", [b"a b", b"a" * 129, b"<script>", b"\xe9", b"a\tb", b""])
def test_any_other_request_id_is_replaced(api: Served, given: bytes) -> None:
    answer = api.client.post(SHARED, json={"input": "Hello."}, headers=[(b"x-request-id", given)])
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["x-request-id"].isalnum()


def test_every_answer_tells_its_route(api: Served) -> None:
    answer = api.asks()
    told = {name: value for name, value in answer.headers.items() if name.startswith("x-")}
    assert told == {
        "x-request-id": answer.headers["x-request-id"],
        "x-tts-provider": "able",
        "x-tts-model": "tone-1",
        "x-tts-voice": "nova",
        "x-tts-fallback": "none",
        "x-tts-cache": "off",
        "x-tts-characters": "12",
        "x-tts-ignored": "none",
        "x-audio-sample-rate": "48000",
        "x-audio-channels": "2",
    }
    assert answer.headers["cache-control"] == "no-store"


# ---- once and for all


def test_every_request_is_recorded_exactly_once(api: Served) -> None:
    outcomes = []
    requests: tuple[dict[str, Any], ...] = (
        {"json": {"input": "Hello."}},
        {"json": {}},
        {"content": b"{"},
        {"json": {"input": "Hello.", "voice": "nobody"}},
        {"content": b"x", "headers": {"content-type": "text/plain"}},
        {"content": b" " * 8_400_000},
        {"json": {"input": "."}},
    )
    for sent in requests:
        before = len(api.records)
        answer = api.post(**sent)
        assert len(api.records) == before + 1
        record = api.records[-1]
        assert record.status == answer.status_code
        assert record.request_id == answer.headers["x-request-id"]
        outcomes.append(record.outcome)
    assert outcomes == ["spoken", *["refused"] * 5, "spoken"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_text_and_no_key_gets_into_a_log_or_an_answer(form: str, tmp_path: Path) -> None:
    """In a process of its own, because logs are set up once for a process."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.api.telltale", form, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert told.stderr.count("outcome") > 20
    assert "RuntimeError" in told.stderr
    assert MARKER not in told.stderr
    assert told.stdout == "no answer tells\n"
