"""Messages are signed as Standard Webhooks says: the specification's own package verifies them."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from router.contract.provider import Secret
from router.jobs.webhooks.notice import Notice, body_of
from router.jobs.webhooks.signature import key_of, secret_for, signed

INSTALLATION = Secret("the secret of this installation")
BODY = body_of("job.completed", 1_763_740_800_123, {"id": "run_1", "metadata": {"é": "☃"}})


def test_the_reference_package_accepts_what_we_sign() -> None:
    secret = secret_for(INSTALLATION, "key_1")
    headers = signed(key_of(secret), "msg_1", int(time.time()), BODY)
    told = Webhook(secret.reveal()).verify(BODY, headers)
    assert told == {
        "type": "job.completed",
        "timestamp": "2025-11-21T16:00:00.123Z",
        "data": {"id": "run_1", "metadata": {"é": "☃"}},
    }


@pytest.mark.parametrize("change", ["body", "id", "secret", "time"])
def test_it_refuses_a_message_of_which_anything_was_changed(change: str) -> None:
    secret = secret_for(INSTALLATION, "key_2" if change == "secret" else "key_1")
    headers = signed(key_of(secret), "msg_1", int(time.time()), BODY)
    if change == "id":
        headers["webhook-id"] = "msg_2"
    if change == "time":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
    reference = Webhook(secret_for(INSTALLATION, "key_1").reveal())
    with pytest.raises(WebhookVerificationError):
        reference.verify(BODY + b" " if change == "body" else BODY, headers)


def test_a_secret_of_the_config_signs_whether_or_not_it_is_padded() -> None:
    letters = base64.b64encode(bytes(range(32))).decode()
    for secret in (f"whsec_{letters}", f"whsec_{letters.rstrip('=')}"):
        headers = signed(key_of(Secret(secret)), "msg_1", int(time.time()), BODY)
        assert Webhook(secret).verify(BODY, headers, json_parse=False) is None


@pytest.mark.parametrize(
    "letters",
    [
        "",
        "whsec_",
        base64.b64encode(bytes(32)).decode(),
        f"whsec_{base64.b64encode(bytes(23)).decode()}",
        f"whsec_{base64.b64encode(bytes(65)).decode()}",
        "whsec_no base64 at all, but long enough to be!",
        "whsec_äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü",
    ],
)
def test_what_is_no_secret_is_not_used_and_not_repeated(letters: str) -> None:
    with pytest.raises(ValueError, match="24 to 64 bytes") as caught:
        key_of(Secret(letters))
    assert (
        not letters
        or letters.removeprefix("whsec_")[:8] not in str(caught.value)
        or (letters == "whsec_")
    )


def test_each_owner_and_each_installation_has_its_own_secret() -> None:
    secrets = {
        secret_for(Secret(installation), owner).reveal()
        for installation in ("one", "other")
        for owner in ("key_1", "key_2", "")
    }
    assert len(secrets) == 6
    assert secret_for(Secret("one"), "key_1").reveal() in secrets


def test_the_end_of_a_job_has_one_id_however_often_it_is_written() -> None:
    def notice(job: str, kind: str = "job.completed") -> Notice:
        return Notice(
            job_id=job,
            owner="key_1",
            url="https://example.com/",
            kind=kind,  # type: ignore[arg-type]  # a word of the set
            body=BODY,
            created_ms=1,
        )

    ids = [notice("run_1").id, notice("run_2").id, notice("run_1", "job.failed").id]
    assert len(set(ids)) == 3
    assert notice("run_1").id == ids[0]
    assert all(id.startswith("msg_") and len(id) <= 64 for id in ids)
