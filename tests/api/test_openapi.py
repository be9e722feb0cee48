"""The OpenAPI document is valid and true, and its page needs nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from litestar import Litestar
from litestar.testing import TestClient

from tests.api.keyed import AS_ADMIN, AS_CALLER, KEY, keyed
from tests.api.served import Served

SPEECH = ("/v1/audio/speech", "/api/v1/audio/speech", "/v1/speech", "/api/v1/speech")


@pytest.fixture
def document(api: Served) -> dict[str, Any]:
    found: dict[str, Any] = api.client.get("/schema/openapi.json").json()
    return found


def body_schema(document: dict[str, Any], path: str, media: str) -> dict[str, Any]:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    return {**content[media]["schema"], "components": document["components"]}


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    ids = [
        operation["operationId"]
        for item in document["paths"].values()
        for method, operation in item.items()
        if method in ("get", "post")
    ]
    assert len(ids) == len(set(ids))
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    references = set(re.findall(r"#/components/schemas/([A-Za-z0-9_.-]+)", str(document)))
    assert references <= set(document["components"]["schemas"])


def test_every_operation_tells_its_envelope(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        name = "JobEnvelope" if path.endswith(("/tts", "/tts/status")) else "Envelope"
        for method, operation in item.items():
            if method in ("get", "post", "delete"):
                schema = operation["responses"]["default"]["content"]["application/json"]["schema"]
                assert schema == {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize("path", SPEECH)
def test_speech_takes_json_and_both_kinds_of_form(document: dict[str, Any], path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    assert set(content) == {
        "application/json",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
    }
    answers = document["paths"][path]["post"]["responses"]["200"]["content"]
    assert {"audio/wav", "audio/mpeg"} <= set(answers)


BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/audio/speech", {"input": "Hello."}),
    ("/v1/audio/speech", {"model": "tts-1", "input": "Hello.", "voice": {"id": "alloy"}}),
    ("/v1/audio/speech", {"input": "Hello.", "speed": 2, "extra": {"a": 1}, "stream": True}),
    ("/v1/speech", {"model": "tts-1", "input": "Hello.", "voice": "alloy", "stability": 0.5}),
    ("/v1/audio/speech", {"voice": "alloy"}),
    ("/v1/audio/speech", {"input": 5}),
    ("/v1/audio/speech", {"input": "Hello.", "speed": 9}),
    ("/v1/speech", {"input": "Hello."}),
    ("/v1/speech", {"model": "tts-1", "input": "Hello.", "voice": "alloy", "stability": 2}),
    ("/api/v1/audio/speech", {"input": "Hello."}),
]


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_what_the_document_accepts_is_accepted_and_what_it_refuses_is_refused(
    api: Served, document: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    validator = Draft202012Validator(body_schema(document, path, "application/json"))
    assert validator.is_valid(body) == (api.post(path, json=body).status_code == 200)


JOBS = "/v1/audio/speech/jobs"
JOB_BODIES: list[tuple[str, dict[str, Any]]] = [
    (JOBS, {"input": "Hello."}),
    (JOBS, {"text": "Hello.", "model": "tts-1", "speed": 5}),
    (JOBS, {"input": "Hello.", "metadata": {"a": "b"}, "expires_in": 60}),
    (JOBS, {"items": [{"input": "Hello."}, {"text": "Hello."}]}),
    (JOBS, {"items": []}),
    (JOBS, {"items": ["Hello."]}),
    (JOBS, {"input": "Hello.", "metadata": {"a": 5}}),
    (JOBS, {"input": "Hello.", "metadata": {str(n): "" for n in range(17)}}),
    (JOBS, {"input": "Hello.", "expires_in": 59}),
    ("/tts", {"text": "Hello.", "speed": 0.1}),
    ("/tts", {"input": "Hello.", "model": "tts-1", "output_format": "wav"}),
    ("/tts", {"text": "Hello.", "speed": 5.5}),
    ("/tts", {"text": 5}),
    ("/tts", {}),
    ("/tts", {"text": "Hello.", "style": 2}),
]


@pytest.mark.parametrize(("path", "body"), JOB_BODIES)
def test_what_the_document_says_of_jobs_holds_as_well(
    api: Served, document: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    validator = Draft202012Validator(body_schema(document, path, "application/json"))
    answer = api.post(path, json=body)

    assert validator.is_valid(body) == (answer.status_code == 202), answer.text
    if answer.status_code == 202:
        told = document["paths"][path]["post"]["responses"]["202"]["content"]["application/json"]
        shown = {**told["schema"], "components": document["components"]}
        Draft202012Validator(shown).validate(answer.json())


def test_the_examples_of_the_document_are_accepted(api: Served, document: dict[str, Any]) -> None:
    told = document["paths"][JOBS]["post"]["requestBody"]["content"]["application/json"]
    bodies = [(JOBS, example["value"]) for example in told["examples"].values()]
    tts = document["paths"]["/tts"]["post"]["requestBody"]["content"]["application/json"]

    for path, body in [*bodies, ("/tts", tts["example"])]:
        assert api.post(path, json=body).status_code == 202


@pytest.mark.parametrize("path", ["/tts/status", "/api/tts/status"])
def test_a_poll_tells_which_of_its_values_are_needed(document: dict[str, Any], path: str) -> None:
    parameters = document["paths"][path]["get"]["parameters"]

    assert {one["name"]: one["required"] for one in parameters} == {
        **dict.fromkeys(("runId", "model"), True),
        **dict.fromkeys(("cost", "paymentSource", "isApiRequest"), False),
    }


def test_the_document_is_the_same_however_often_it_is_asked_for(
    api: Served, document: dict[str, Any]
) -> None:
    api.client.get("/schema")
    assert api.client.get("/schema/openapi.json").json() == document
    for path, item in document["paths"].items():
        for operation in item.values():
            names = [(one["in"], one["name"]) for one in operation.get("parameters", [])]
            assert len(names) == len(set(names)), path


# ---- keys

NEEDED: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}]
OPTIONAL = [{}, *NEEDED]
OF_CALLERS = [
    *(("post", path) for path in SPEECH),
    *[("post", "/tts"), ("get", "/tts/status"), ("post", JOBS), ("get", JOBS)],
    *[("get", f"{JOBS}/{{id}}"), ("delete", f"{JOBS}/{{id}}"), ("get", f"{JOBS}/{{id}}/events")],
    *[("get", f"{JOBS}/{{id}}/audio"), ("get", "/v1/usage"), ("get", "/v1/credits")],
    *[("post", "/v1/audio/voices"), ("delete", "/v1/audio/voices/{voice_id}")],
]
OF_NOBODY = [
    *[("get", "/v1/models"), ("get", "/v1/voices/{voice}/sample"), ("get", "/health/ready")],
    *[("post", "/v1/route/explain"), ("get", "/v1/audio/files/{token}/{name}")],
]


def security(document: dict[str, Any], asked: list[tuple[str, str]]) -> list[Any]:
    return [document["paths"][path][method].get("security") for method, path in asked]


@pytest.fixture(scope="module")
def keyed_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Litestar]]:
    with keyed(tmp_path_factory.mktemp("keyed")) as client:
        yield client


def test_where_a_key_goes_is_told_of_all_that_needs_one(
    keyed_client: TestClient[Litestar],
) -> None:
    document = keyed_client.get("/schema/openapi.json").json()

    assert security(document, OF_CALLERS) == [NEEDED] * len(OF_CALLERS)
    assert security(document, OF_NOBODY) == [None] * len(OF_NOBODY)
    assert security(document, [("get", "/v1/voices")]) == [OPTIONAL]
    of_admins = [
        operation["security"]
        for path, item in document["paths"].items()
        if path.startswith("/admin/")
        for operation in item.values()
    ]
    assert of_admins == [[{"admin": []}]] * 8
    schemes = document["components"]["securitySchemes"]
    assert {name: (one["type"], one.get("scheme")) for name, one in schemes.items()} == {
        "bearer": ("http", "bearer"),
        "header": ("apiKey", None),
        "admin": ("http", "bearer"),
    }
    assert (schemes["header"]["in"], schemes["header"]["name"]) == ("header", "X-API-Key")


def test_a_key_that_goes_where_the_document_says_is_taken(
    keyed_client: TestClient[Litestar],
) -> None:
    header = {"X-API-Key": KEY}
    for path, with_key in (
        ("/v1/credits", AS_CALLER),
        ("/v1/credits", header),
        ("/admin/v1/keys", AS_ADMIN),
    ):
        assert keyed_client.get(path).status_code == 401
        assert keyed_client.get(path, headers=with_key).status_code == 200


def test_a_server_without_keys_says_that_none_is_needed(document: dict[str, Any]) -> None:
    assert security(document, OF_CALLERS) == [OPTIONAL] * len(OF_CALLERS)
    assert security(document, OF_NOBODY) == [None] * len(OF_NOBODY)
    assert document["paths"]["/admin/v1/keys"]["get"]["security"] == [{"admin": []}]


# ---- the rest


def test_a_sample_is_told_as_a_file(document: dict[str, Any]) -> None:
    schema = str(body_schema(document, "/v1/audio/speech", "multipart/form-data"))
    assert "prompt_audio" in schema
    assert "binary" in schema


@pytest.mark.parametrize("path", ["/schema", "/schema/"])
def test_the_page_needs_no_script_and_nothing_from_elsewhere(api: Served, path: str) -> None:
    answer = api.client.get(path)
    assert answer.headers["content-type"].startswith("text/html")
    page = answer.text
    assert page.startswith("<!doctype html>")
    for foreign in (
        "<script",
        "javascript:",
        "http://",
        "https://",
        "//cdn",
        "@import",
        "url(",
        "onload",
    ):
        assert foreign not in page.lower()
    for told in ("/v1/audio/speech", "/v1/speech", "prompt_audio", "stability", "sample_rate"):
        assert told in page
