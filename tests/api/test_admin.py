"""The admin endpoints: every verb of the command, and closed to everybody else."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from tests.api.keyed import ADMIN, AS_ADMIN, AS_CALLER, KEY, keyed, said
from tests.api.served import envelope

KEYS, USAGE = "/admin/v1/keys", "/admin/v1/usage"
Client = TestClient[Litestar]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with keyed(tmp_path) as client:
        yield client


def made(client: Client, **fields: Any) -> dict[str, Any]:
    answer = client.post(KEYS, json=fields, headers=AS_ADMIN)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_key_is_shown_once_and_speaks(client: Client) -> None:
    key = made(client, name="me", credits=1)

    assert key["key"].startswith("sk-tts-")
    assert key["shown"] == f"{key['key'][:11]}…{key['key'][-4:]}"
    assert (key["state"], key["balance"], key["metered"]) == ("active", "1", True)
    assert said(client, key["key"]).status_code == 200
    for path in (KEYS, f"{KEYS}/{key['id']}"):
        answer = client.get(path, headers=AS_ADMIN)
        assert key["id"] in answer.text
        assert key["key"] not in answer.text


def test_a_key_is_held_to_the_terms_that_it_was_made_with(client: Client) -> None:
    terms = {
        "models": ["other"],
        "limits": {"requests_per_minute": 1, "credits_per_day": 0.5},
        "expires": "2999-01-01",
    }
    key = made(client, **terms)
    assert {name: key[name] for name in ("models", "expires")} == {
        "models": ["other"],
        "expires": "2999-01-01",
    }
    assert key["limits"]["requests_per_minute"] == 1
    assert key["limits"]["credits_per_day"] == 0.5
    assert (key["metered"], key["balance"]) == (False, None)
    assert said(client, key["key"]).status_code == 403

    once = made(client, limits={"requests_per_minute": 1})["key"]
    assert [said(client, once).status_code for _ in range(2)] == [200, 429]
    assert said(client, made(client, expires="2020-01-01")["key"]).status_code == 401


def test_a_key_is_disabled_enabled_and_rotated(client: Client) -> None:
    key = made(client)
    path = f"{KEYS}/{key['id']}"

    assert client.post(f"{path}/disable", headers=AS_ADMIN).json()["state"] == "disabled"
    assert said(client, key["key"]).status_code == 401
    assert client.post(f"{path}/enable", headers=AS_ADMIN).json()["state"] == "active"
    assert said(client, key["key"]).status_code == 200
    rotated = client.post(f"{path}/rotate", headers=AS_ADMIN).json()
    assert rotated["id"] == key["id"]
    assert said(client, key["key"]).status_code == 401
    assert said(client, rotated["key"]).status_code == 200


def test_credit_is_added_once_for_each_idempotency_key(client: Client) -> None:
    key = made(client)
    path = f"{KEYS}/{key['id']}/top-up"

    for name, balance in (("a", "1.5"), ("a", "1.5"), ("b", "3"), (None, "4.5"), (None, "6")):
        headers = {**AS_ADMIN, **({"Idempotency-Key": name} if name else {})}
        answer = client.post(path, json={"credits": 1.5}, headers=headers)
        assert (answer.status_code, answer.json()["balance"]) == (200, balance)
    assert client.get(f"{KEYS}/{key['id']}", headers=AS_ADMIN).json()["metered"]
    credits = client.get("/v1/credits", headers={"X-API-Key": key["key"]}).json()
    assert (credits["balance"], credits["metered"]) == ("6", True)


def test_keys_come_in_pages(client: Client) -> None:
    ids = [made(client, name=str(number))["id"] for number in range(5)]
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get(KEYS, params={"after": after, "limit": 2}, headers=AS_ADMIN).json()
        seen += [key["id"] for key in page["data"]]
        after = page["next"]
    assert seen == ["config:caller", *sorted(ids)]


def test_usage_is_told_as_json_and_csv(client: Client) -> None:
    said(client, KEY)
    mine = made(client)["key"]
    said(client, mine)
    said(client, mine)
    made(client)  # what was queued before is written by then

    rows = client.get(USAGE, headers=AS_ADMIN).json()["data"]
    assert sorted(row["requests"] for row in rows) == [1, 2]
    told = client.get(USAGE, params={"format": "csv"}, headers=AS_ADMIN)
    assert told.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(told.text)))
    assert [line["account"] for line in lines] == [row["account"] for row in rows]
    assert {line["credits"] for line in lines} == {"0.012", "0"}
    none = {"from": "2020-01-01", "to": "2020-12-31"}
    assert client.get(USAGE, params=none, headers=AS_ADMIN).json()["data"] == []
    only = client.get(USAGE, params={"key": "config:caller"}, headers=AS_ADMIN).json()["data"]
    assert [row["account"] for row in only] == ["config:caller"]


def test_what_is_asked_wrongly_is_told_without_repeating_it(client: Client) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"credits": "many-4711"},
        {"credits": -1},
        {"limits": {"requests_per_minute": 0}},
        {"limits": {"typo": 1}},
        {"typo": 1},
        {"name": "x" * 300},
        {"expires": "tomorrow-4711"},
    )
    for body in wrong:
        answer = client.post(KEYS, json=body, headers=AS_ADMIN)
        error = envelope(answer, 400)
        assert "4711" not in error["message"]
    for query in ({"format": "xml"}, {"from": "yesterday"}, {"cursor": "nonsense"}, {"limit": "0"}):
        envelope(client.get(USAGE, params=query, headers=AS_ADMIN), 400)
    assert len(client.get(KEYS, headers=AS_ADMIN).json()["data"]) == 1


@pytest.mark.parametrize("verb", ["", "/disable", "/enable", "/rotate", "/top-up"])
def test_a_key_that_is_not_there_is_a_404(verb: str, client: Client) -> None:
    method, body = "POST" if verb else "GET", {"credits": 1} if verb == "/top-up" else None
    answer = client.request(method, f"{KEYS}/key_nobody{verb}", headers=AS_ADMIN, json=body)
    assert envelope(answer, 404)["code"] == "key_not_found"


@pytest.mark.parametrize("verb", ["/disable", "/enable", "/rotate"])
def test_a_key_of_the_config_is_changed_in_the_config(verb: str, client: Client) -> None:
    answer = client.post(f"{KEYS}/config:caller{verb}", headers=AS_ADMIN)
    assert "config" in envelope(answer, 400)["message"]


OPERATIONS = (
    ("GET", KEYS),
    ("POST", KEYS),
    ("GET", f"{KEYS}/x"),
    ("POST", f"{KEYS}/x/disable"),
    ("POST", f"{KEYS}/x/enable"),
    ("POST", f"{KEYS}/x/rotate"),
    ("POST", f"{KEYS}/x/top-up"),
    ("GET", USAGE),
)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nobody_but_the_admin_comes_in(method: str, path: str, client: Client) -> None:
    for headers in ({}, AS_CALLER, {"X-API-Key": ADMIN[:-1]}, {"Authorization": f"Basic {ADMIN}"}):
        assert client.request(method, path, headers=headers).status_code == 401
    assert client.request(method, path, headers={"X-API-Key": ADMIN}).status_code != 401


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_without_an_admin_key_it_is_closed(method: str, path: str, tmp_path: Path) -> None:
    with keyed(tmp_path, {"keys": {"caller": {"key": KEY}}}) as client:
        for headers in ({}, AS_CALLER, {"Authorization": "Bearer "}):
            assert client.request(method, path, headers=headers).status_code == 403


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_without_accounts_there_is_nothing(method: str, path: str, tmp_path: Path) -> None:
    with keyed(tmp_path, {"required": False, "admin_key": ADMIN}) as client:
        assert client.request(method, path, headers=AS_ADMIN).status_code == 404


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("name", "models", "providers", "limits", "credits", "expires")


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON) | JSON, word=st.text())
def test_whatever_an_admin_sends_it_is_no_failure_of_ours(
    client: Client, body: Any, word: str
) -> None:
    sent = json.dumps(body).encode()
    headers = {**AS_ADMIN, "Content-Type": "application/json"}
    for path in (KEYS, f"{KEYS}/config:caller/top-up", f"{KEYS}/{quote(word, safe='')}/rotate"):
        assert client.post(path, content=sent, headers=headers).status_code < 500
    query = dict.fromkeys(("from", "key", "model", "cursor", "limit", "after"), word)
    for path in (KEYS, USAGE, f"{KEYS}/{quote(word, safe='')}"):
        assert client.get(path, params=query, headers=headers).status_code < 500
    for name in ("cursor", "key", "model"):
        assert client.get(USAGE, params={name: word}, headers=headers).status_code < 500


def test_every_operation_is_in_openapi(client: Client) -> None:
    paths = client.get("/schema/openapi.json").json()["paths"]
    for method, path in OPERATIONS:
        assert method.lower() in paths[path.replace("/x", "/{id}")]
    assert {"/v1/credits", "/v1/usage"} <= paths.keys()
    body = paths[KEYS]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/WantedKey"}
    page = client.get("/schema").text
    assert "Make a key; it is shown once" in page
