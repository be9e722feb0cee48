"""A caller's own account, and the keyless routes beside it."""

from __future__ import annotations

from pathlib import Path

from tests.api.keyed import AS_ADMIN, AS_CALLER, KEY, keyed, said
from tests.api.served import envelope


def test_a_caller_sees_their_own_credit_and_usage_alone(tmp_path: Path) -> None:
    with keyed(tmp_path) as client:
        other = client.post("/admin/v1/keys", json={"credits": 1}, headers=AS_ADMIN).json()
        said(client, KEY)
        said(client, other["key"], input="Somebody else's text.")
        client.post("/admin/v1/keys", json={}, headers=AS_ADMIN)  # the queue is written by then

        credits = client.get("/v1/credits", headers=AS_CALLER).json()
        assert credits == {
            "account": "config:caller",
            "name": "caller",
            "metered": True,
            "balance": "1.988",
            "object": "credits",
        }
        (row,) = client.get("/v1/usage", headers=AS_CALLER).json()["data"]
        assert (row["account"], row["requests"], row["credits"]) == ("config:caller", 1, "0.012")
        assert (row["characters"], row["audio_seconds"]) == (12, 0.5)
        # Somebody else's account is not to be had by naming it.
        for query in ({"key": other["id"]}, {"account": other["id"]}):
            rows = client.get("/v1/usage", params=query, headers=AS_CALLER).json()["data"]
            assert [row["account"] for row in rows] == ["config:caller"]


def test_usage_as_csv_is_a_file(tmp_path: Path) -> None:
    with keyed(tmp_path) as client:
        answer = client.get("/v1/usage", params={"format": "csv"}, headers=AS_CALLER)
        assert answer.headers["content-disposition"] == 'attachment; filename="usage.csv"'
        assert answer.text.startswith("day,account,model,provider,requests,")


def test_an_account_needs_its_key(tmp_path: Path) -> None:
    with keyed(tmp_path) as client:
        for path in ("/v1/credits", "/v1/usage"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"X-API-Key": "sk-another"}).status_code == 401
            assert client.get(path, headers=AS_ADMIN).status_code == 401


def test_without_keys_there_are_no_accounts(tmp_path: Path) -> None:
    with keyed(tmp_path, {"required": False}) as client:
        for path in ("/v1/credits", "/v1/usage"):
            assert envelope(client.get(path), 404)["code"] == "not_found"


def test_what_needs_no_key_needs_none(tmp_path: Path) -> None:
    with keyed(tmp_path) as client:
        for path in ("/v1/models", "/v1/voices", "/health/live", "/health/ready", "/schema"):
            assert client.get(path).status_code == 200
        body = {"model": "it", "input": "Hello.", "voice": "alloy"}
        assert client.post("/v1/route/explain", json=body).status_code == 200


def test_the_price_of_a_model_is_told(tmp_path: Path) -> None:
    with keyed(tmp_path) as client:
        (model,) = client.get("/v1/models").json()["data"]
        assert model["pricing"] == {"per_1k_chars": 1.0, "currency": "credits"}
