"""NanoGPT's flow of jobs: three forms of an answer, polls that never fail, errors as strings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.jobbed import STATUS, TEXT, TTS, WITHIN_S, Caller, config, key_of
from tests.api.served import served
from tests.support.process import ServerProcess, serving
from tests.support.scripts import SCRIPTED

PREFIXES = ("", "/api")


@pytest.fixture(scope="module")
def rich(jobs_server: ServerProcess) -> Caller:
    return Caller(jobs_server, "rich")


def tts(caller: Caller, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    body = {"text": TEXT, "model": "it", "voice": "alloy", **fields}
    return caller.client.post(TTS, json=body, headers=headers)


def poll(caller: Caller, ticket: dict[str, Any], **echoed: Any) -> dict[str, Any]:
    query = {"runId": ticket["runId"], "model": ticket["model"], **echoed}
    answer = caller.client.get(STATUS, params=query)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def ended(caller: Caller, ticket: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + WITHIN_S
    while (told := poll(caller, ticket))["status"] == "pending":
        assert time.monotonic() < until, told
        time.sleep(0.05)
    return told


def told_error(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer, after a look at its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body: dict[str, Any] = answer.json()
    assert isinstance(body["error"], str)
    assert body["error"]
    assert body["status"] == status
    assert TEXT not in answer.text
    return body


# ---- a ticket


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_ticket_has_all_seven_keys_and_leads_to_the_audio(rich: Caller, prefix: str) -> None:
    body = {"text": TEXT, "model": " It", "voice": "alloy", "response_format": "wav"}
    answer = rich.client.post(f"{prefix}{TTS}", json=body)

    assert answer.status_code == 202, answer.text
    ticket = answer.json()
    assert ticket == {
        "status": "pending",
        "runId": ticket["runId"],
        "model": " It",
        "charged": True,
        "cost": ticket["cost"],
        "paymentSource": "USD",
        "isApiRequest": True,
    }
    assert ticket["cost"] == pytest.approx(len(TEXT) / 1_000)
    told = ended(rich, ticket)
    assert set(told) == {"status", "runId", "audioUrl", "contentType", "model"}
    assert (told["status"], told["model"], told["contentType"]) == ("completed", " It", "audio/wav")
    audio = httpx.get(told["audioUrl"], trust_env=False)
    assert (audio.status_code, audio.headers["content-type"]) == (200, "audio/wav")
    assert audio.content[:4] == b"RIFF"
    assert len(audio.content) == int(audio.headers["content-length"])


def test_a_job_that_waits_tells_its_place(idle_server: ServerProcess) -> None:
    caller = Caller(idle_server, "rich")
    tickets = [tts(caller).json() for _ in range(3)]

    until = time.monotonic() + WITHIN_S
    while True:
        told = [poll(caller, ticket) for ticket in tickets]
        assert [set(one) for one in told] == [{"status", "runId", "queuePosition"}] * 3
        places = [one["queuePosition"] for one in told]
        assert all(isinstance(place, int) for place in places)
        if places[0] < places[1] < places[2]:  # those of another key may come between
            break
        assert time.monotonic() < until, "the queue is counted anew every second"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "echoed",
    [
        {},
        {"cost": "0.0050388", "paymentSource": "USD", "isApiRequest": "true"},
        {"isApiRequest": "True"},
        {"isApiRequest": "1", "cost": "", "paymentSource": "XNO"},
        {"cost": "NaN", "anything": "else"},
    ],
)
def test_whatever_comes_back_of_the_ticket_is_taken(rich: Caller, echoed: dict[str, str]) -> None:
    ticket = tts(rich).json()

    assert poll(rich, ticket, **echoed)["status"] in ("pending", "completed")


def test_the_same_is_told_however_often_it_is_asked(rich: Caller) -> None:
    ticket = tts(rich).json()
    first = ended(rich, ticket)

    assert [poll(rich, ticket) for _ in range(20)] == [first] * 20


@pytest.mark.parametrize("key", ["authorization", "x-api-key", "both"])
def test_a_key_comes_in_either_header_or_in_both(jobs_server: ServerProcess, key: str) -> None:
    secret = key_of("rich")
    headers = {"authorization": f"Bearer {secret}", "x-api-key": secret}
    sent = headers if key == "both" else {key: headers[key]}

    answer = tts(Caller(jobs_server, ""), sent)

    assert answer.status_code == 202


def test_under_one_idempotency_key_one_job_is_made(rich: Caller) -> None:
    key = {"idempotency-key": "nano-1"}
    first, again = tts(rich, key), tts(rich, key)

    assert first.json()["runId"] == again.json()["runId"]
    assert told_error(tts(rich, key, text="Else."), 422)["code"] == "idempotency_key_reused"


def test_a_text_that_the_provider_does_not_take_is_told_as_nanogpt_tells_it(rich: Caller) -> None:
    told = ended(rich, tts(rich, model="no").json())

    assert (told["status"], told["code"]) == ("error", "CONTENT_POLICY_VIOLATION")
    assert told["error"]


def test_a_job_that_was_cancelled_is_an_error_to_who_polls(idle_server: ServerProcess) -> None:
    caller = Caller(idle_server, "rich")
    ticket = tts(caller).json()
    caller.client.delete(f"/v1/audio/speech/jobs/{ticket['runId']}")

    assert poll(caller, ticket)["status"] == "error"


def test_the_address_is_the_public_one_where_the_config_says_so(tmp_path: Path) -> None:
    public = "https://tts.example/voices"
    with served(tmp_path, {"public_url": f"{public}/"}) as found:
        ticket = found.client.post(TTS, json={"text": TEXT}).json()
        query = {"runId": ticket["runId"], "model": ticket["model"]}
        until = time.monotonic() + WITHIN_S
        while (told := found.client.get(STATUS, params=query).json())["status"] == "pending":
            assert time.monotonic() < until
            time.sleep(0.05)

        assert told["audioUrl"].startswith(f"{public}/v1/audio/files/")
        fetched = found.client.get(told["audioUrl"].removeprefix(public))
        assert (fetched.status_code, fetched.headers["content-type"]) == (200, "audio/mpeg")


def test_where_no_jobs_are_taken_the_form_of_audio_still_answers(tmp_path: Path) -> None:
    written = config(enabled=False)
    with serving(written, tmp_path, plugins=[SCRIPTED]) as server:
        caller = Caller(server, "rich")

        assert told_error(tts(caller), 404)
        assert told_error(caller.client.get(STATUS, params={"runId": "x", "model": "it"}), 404)
        assert tts(caller, model="audio").headers["content-type"] == "audio/mpeg"


# ---- an address, and audio


def test_the_address_comes_at_once_with_the_other_keys(rich: Caller) -> None:
    answer = tts(rich, model="url", speed=2, output_format="flac")

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert set(told) == {
        *("audioUrl", "contentType", "model", "text", "voice"),
        *("speed", "duration", "cost", "currency"),
    }
    assert (told["text"], told["model"], told["voice"], told["speed"]) == (TEXT, "url", "alloy", 2)
    assert told["contentType"] == "audio/flac"
    assert told["duration"] > 0
    assert told["cost"] == pytest.approx(len(TEXT) / 1_000)
    audio = httpx.get(told["audioUrl"], trust_env=False)
    assert audio.content[:4] == b"fLaC"


def test_who_waits_too_long_gets_a_ticket_instead(rich: Caller) -> None:
    answer = tts(rich, {"x-request-timeout": "0.5"}, model="url-slow", text=TEXT * 400)

    assert answer.status_code == 202
    assert poll(rich, answer.json())["status"] == "pending"
    rich.client.delete(f"/v1/audio/speech/jobs/{answer.json()['runId']}")


def test_a_job_that_fails_while_somebody_waits_is_told_as_an_error(rich: Caller) -> None:
    answer = tts(rich, model="url-no")

    assert told_error(answer, answer.status_code)["code"] == "CONTENT_POLICY_VIOLATION"
    assert answer.status_code >= 400


def test_who_hangs_up_while_waiting_leaves_no_job_behind(rich: Caller) -> None:
    with pytest.raises(httpx.ReadTimeout):
        rich.client.post(
            TTS,
            json={"text": TEXT * 400, "model": "url-slow"},
            headers={"x-request-id": "gone-while-waiting"},
            timeout=0.7,
        )

    record = rich.server.log.record("gone-while-waiting")
    assert (record["outcome"], record["status"]) == ("abandoned", 499)
    found = rich.client.get("/v1/audio/speech/jobs", params={"limit": 100}).json()["data"]
    states = {job["status"] for job in found if job["model"] == "url-slow"}
    assert states <= {"cancelled"}


def test_audio_itself_is_the_answer_where_the_model_says_so(rich: Caller) -> None:
    headers = {"x-request-id": "audio-itself"}
    answer = tts(rich, headers, model="audio", response_format="wav")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    assert answer.content[:4] == b"RIFF"
    assert rich.server.log.record("audio-itself")["outcome"] == "spoken"


# ---- errors


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"text": ...}, 400, "missing_required_parameter"),
        ({"text": " "}, 400, "invalid_parameter_value"),
        ({"model": "nobody"}, 400, "model_not_found"),
        ({"model": "off"}, 501, "model_not_available"),
        ({"speed": 5.5}, 400, "invalid_parameter_value"),
        ({"response_format": "au"}, 400, "unsupported_format"),
        ({"model": "short"}, 413, "input_too_long"),
        ({"text": "x" * 1_000_001}, 413, "input_too_long"),
    ],
)
def test_errors_are_strings_with_nanogpts_statuses(
    rich: Caller, body: dict[str, Any], status: int, code: str
) -> None:
    fields = {"text": TEXT, "model": "it", "voice": "alloy", **body}
    sent = {name: value for name, value in fields.items() if value is not ...}

    assert told_error(rich.client.post(TTS, json=sent), status)["code"] == code


def test_an_empty_account_is_told_what_it_needs(jobs_server: ServerProcess) -> None:
    error = told_error(tts(Caller(jobs_server, "poor")), 402)

    assert error["error"] == "Insufficient balance"
    assert error["requiredBalance"] == pytest.approx(len(TEXT) / 1_000)


def test_rates_hold_for_handing_in_and_never_for_polling(jobs_server: ServerProcess) -> None:
    quick = Caller(jobs_server, "quick")
    ticket = tts(quick).json()

    assert told_error(tts(quick), 429)["code"] == "rate_limit_exceeded"
    assert {poll(quick, ticket)["status"] for _ in range(40)} <= {"pending", "completed"}


@pytest.mark.parametrize(
    ("query", "param"),
    [("", "runId"), ("runId=x", "model"), ("model=it", "runId"), ("runId=&model=it", "runId")],
)
def test_a_poll_names_what_it_lacks(rich: Caller, query: str, param: str) -> None:
    assert told_error(rich.client.get(f"{STATUS}?{query}"), 400)["param"] == param


def test_an_unknown_job_and_that_of_another_key_are_not_found(
    rich: Caller, jobs_server: ServerProcess
) -> None:
    ticket = tts(rich).json()
    other = Caller(jobs_server, "other")

    for run_id in (ticket["runId"], f"run_{'a' * 22}", "98b0d593-fe8d-49b8-89c9-033022232297"):
        answer = other.client.get(STATUS, params={"runId": run_id, "model": "it"})
        assert told_error(answer, 404)["code"] == "job_not_found"


def test_without_a_key_or_with_a_wrong_one_the_error_is_a_string(
    jobs_server: ServerProcess,
) -> None:
    nobody, stranger = Caller(jobs_server, ""), Caller(jobs_server, "nobody-of-ours")
    run = {"runId": f"run_{'a' * 22}", "model": "it"}

    assert told_error(tts(nobody), 401)["code"] == "missing_api_key"
    assert told_error(tts(stranger), 401)["code"] == "invalid_api_key"
    assert told_error(stranger.client.get(STATUS, params=run), 401)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("DELETE", TTS, 405), ("POST", STATUS, 405), ("GET", TTS, 405)]
)
def test_a_wrong_method_is_told_in_the_same_words(
    rich: Caller, method: str, path: str, status: int
) -> None:
    assert told_error(rich.client.request(method, path), status)


def test_each_submission_is_on_the_record_once(rich: Caller) -> None:
    for name, fields, outcome, status in (
        ("nano-ticket", {}, "accepted", 202),
        ("nano-url", {"model": "url"}, "accepted", 200),
        ("nano-refused", {"speed": 9}, "refused", 400),
    ):
        tts(rich, {"x-request-id": name}, **fields)

        record = rich.server.log.record(name)
        assert (record["outcome"], record["status"], record["shape"]) == (
            outcome,
            status,
            "nanogpt",
        )
        assert len([r for r in rich.server.log.records if r["request_id"] == name]) == 1
