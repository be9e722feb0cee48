"""`/v1/audio/speech/jobs`, from handing in to fetching, with a real server behind it."""

from __future__ import annotations

import base64
import io
import json
import time
import wave
from typing import Any

import pytest

from tests.api.jobbed import JOBS, TEXT, Caller
from tests.api.served import WAV_CLIP, envelope
from tests.support.process import ServerProcess


@pytest.fixture(scope="module")
def rich(jobs_server: ServerProcess) -> Caller:
    return Caller(jobs_server, "rich")


@pytest.fixture(scope="module")
def other(jobs_server: ServerProcess) -> Caller:
    return Caller(jobs_server, "other")


# ---- one job


def test_a_job_is_accepted_spoken_and_fetched(rich: Caller) -> None:
    answer = rich.posts(response_format="wav", metadata={"book": "4711"}, expires_in=120)

    assert answer.status_code == 202
    taken = answer.json()
    assert answer.headers["location"] == f"{rich.server.url}{JOBS}/{taken['id']}"
    assert taken["status"] in ("queued", "running")
    assert (taken["object"], taken["model"], taken["voice"]) == ("speech.job", "it", "alloy")
    assert taken["metadata"] == {"book": "4711"}

    done = rich.until_ended(taken["id"])
    assert (done["status"], done["error"], done["stale"]) == ("completed", None, False)
    assert done["progress"]["characters"] == done["progress"]["characters_total"] == len(TEXT)
    assert done["progress"]["pieces"] == done["progress"]["pieces_total"] == 1
    assert done["expires_at"] == pytest.approx(done["ended_at"] + 120, abs=2)
    assert TEXT not in json.dumps(done)
    with_key = rich.client.get(f"{JOBS}/{done['id']}/audio")
    assert (with_key.status_code, with_key.headers["content-type"]) == (200, "audio/wav")
    assert len(with_key.content) == done["audio"]["bytes"]
    with wave.open(io.BytesIO(with_key.content)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(
            done["audio"]["duration_s"], abs=0.01
        )


@pytest.mark.parametrize(
    ("sent", "model", "format"),
    [
        ({"json": {"model": "nano", "input": TEXT}}, "nano", "wav"),
        ({"json": {"model": "it", "input": TEXT, "voice": "alloy"}}, "it", "mp3"),
        (
            {"json": {"model": "it", "input": TEXT, "voice": "alloy", "format": "flac"}},
            "it",
            "flac",
        ),
        ({"json": {"text": TEXT, "model": "It", "voice": "alloy"}}, "It", "mp3"),
        (
            {
                "data": {"model": "nano", "input": TEXT, "metadata": '{"a": "b"}'},
                "files": {"prompt_audio": ("me.wav", WAV_CLIP)},
            },
            "nano",
            "wav",
        ),
    ],
)
def test_every_shape_is_taken_and_a_form_with_a_sample(
    rich: Caller, sent: dict[str, Any], model: str, format: str
) -> None:
    answer = rich.client.post(JOBS, **sent)

    assert answer.status_code == 202, answer.text
    assert (answer.json()["model"], answer.json()["format"]) == (model, format)


def test_a_submission_is_published_once_and_so_is_a_refusal(rich: Caller) -> None:
    log = rich.server.log
    for name, body, status, outcome in (
        ("taken-1", {}, 202, "accepted"),
        (
            "taken-2",
            {"items": [{"input": "A.", "voice": "nova"}] * 3, "model": "it"},
            202,
            "accepted",
        ),
        ("refused-1", {"input": 5}, 400, "refused"),
        ("refused-2", {"model": "nobody"}, 404, "refused"),
    ):
        answer = rich.posts(headers={"x-request-id": name}, **body)

        assert answer.status_code == status, answer.text
        assert answer.headers["x-request-id"] == name
        record = log.record(name)
        assert (record["outcome"], record["status"]) == (outcome, status)
        assert len([one for one in log.records if one["request_id"] == name]) == 1
    assert log.record("taken-2")["characters"] == 6
    assert TEXT not in log.text


def test_asking_after_a_job_is_no_request_for_speech(rich: Caller) -> None:
    job = rich.has_spoken()
    rich.client.get(f"{JOBS}/{job['id']}", headers={"x-request-id": "a-poll"})
    rich.posts(headers={"x-request-id": "behind-the-poll"}, input=5)

    rich.server.log.record("behind-the-poll")
    assert "a-poll" not in [one["request_id"] for one in rich.server.log.records]


# ---- who may


def test_a_job_is_its_own_keys_alone(rich: Caller, other: Caller) -> None:
    job = rich.has_spoken()

    for method, path in (
        ("GET", job["id"]),
        ("DELETE", job["id"]),
        ("GET", f"{job['id']}/events"),
        ("GET", f"{job['id']}/audio"),
    ):
        answer = other.client.request(method, f"{JOBS}/{path}")
        assert envelope(answer, 404)["code"] == "job_not_found"
    assert job["id"] not in [one["id"] for one in other.client.get(JOBS).json()["data"]]
    assert rich.asks(job["id"])["status"] == "completed"


@pytest.mark.parametrize("path", ["", f"/run_{'a' * 22}", "/run_x/audio", "/run_x/events"])
def test_without_a_key_nothing_is_told(jobs_server: ServerProcess, path: str) -> None:
    nobody = Caller(jobs_server, "")

    assert envelope(nobody.client.get(f"{JOBS}{path}"), 401)["code"] == "missing_api_key"
    assert envelope(nobody.posts(), 401)["code"] == "missing_api_key"


@pytest.mark.parametrize("id", ["x", "run_x", f"run_{'a' * 22}", "%00", f"run_{'%00' * 22}"])
@pytest.mark.parametrize("rest", ["", "/events", "/audio"])
def test_what_was_never_a_job_is_not_found(rich: Caller, id: str, rest: str) -> None:
    assert envelope(rich.client.get(f"{JOBS}/{id}{rest}"), 404)["code"] == "job_not_found"


@pytest.mark.parametrize(
    ("name", "body", "status", "code"),
    [
        ("poor", {}, 402, "insufficient_credits"),
        ("lent", {"model": "slow"}, 403, "forbidden"),
        ("rich", {"model": "nobody"}, 404, "model_not_found"),
        ("rich", {"model": "off"}, 503, "no_provider"),
        ("rich", {"input": " "}, 400, "invalid_parameter_value"),
        ("rich", {"input": "x" * 1_000_001}, 400, "invalid_parameter_value"),
        ("rich", {"webhook_url": "http://127.0.0.1/x"}, 400, "invalid_parameter_value"),
        ("rich", {"webhook_url": "ftp://example.com"}, 400, "invalid_parameter_value"),
    ],
)
def test_what_cannot_be_taken_is_refused_at_once(
    jobs_server: ServerProcess, name: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = Caller(jobs_server, name).posts(**body)

    assert envelope(answer, status)["code"] == code


def test_rates_hold_for_handing_in_and_not_for_asking(jobs_server: ServerProcess) -> None:
    hasty = Caller(jobs_server, "hasty")
    job = hasty.hands_in()

    refused = hasty.posts()
    assert envelope(refused, 429)["code"] == "rate_limit_exceeded"
    assert int(refused.headers["retry-after"]) >= 1
    assert [hasty.client.get(f"{JOBS}/{job['id']}").status_code for _ in range(50)] == [200] * 50


def test_bad_keys_are_told_so_however_often_they_ask(jobs_server: ServerProcess) -> None:
    nobody = Caller(jobs_server, "who-is-not-there")
    path = f"{JOBS}/run_{'a' * 22}"

    assert {nobody.client.get(path).status_code for _ in range(40)} == {401}


# ---- once


def test_under_one_key_the_same_is_taken_once(rich: Caller) -> None:
    key = {"idempotency-key": "the-first-chapter"}
    taken = rich.posts(headers=key)
    again = rich.posts(headers=key)

    assert (taken.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == taken.json()["id"]
    assert envelope(rich.posts(headers=key, input="Else."), 422)["code"] == "idempotency_key_reused"


# ---- batches


def test_a_batch_is_taken_whole_and_found_by_its_name(rich: Caller) -> None:
    items = [{"input": f"Number {n}.", "voice": "alloy"} for n in range(7)]
    answer = rich.posts(items=items, model="it", metadata={"of": "seven"})

    assert answer.status_code == 202, answer.text
    batch = answer.json()
    assert batch["object"] == "list"
    assert [job["item"] for job in batch["data"]] == list(range(7))
    assert {job["batch"] for job in batch["data"]} == {batch["batch"]}
    found = rich.client.get(JOBS, params={"batch": batch["batch"], "limit": 100}).json()
    assert [job["id"] for job in found["data"]] == [job["id"] for job in batch["data"]]
    assert {rich.until_ended(job["id"])["status"] for job in batch["data"]} == {"completed"}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"input": 5}, "items[2].input"),
        ({"model": "nobody", "input": "C.", "voice": "nova"}, "items[2].model"),
        ({"input": "C.", "voice": "nobody"}, "items[2].voice"),
        (
            {"input": "C.", "voice": "nova", "webhook_url": "http://10.0.0.1"},
            "items[2].webhook_url",
        ),
    ],
)
def test_one_wrong_item_and_none_is_taken(rich: Caller, wrong: dict[str, Any], param: str) -> None:
    before = rich.client.get(JOBS).json()["data"][:1]
    good = {"input": "A.", "voice": "alloy"}

    answer = rich.posts(items=[good, good, wrong, good], model="it")

    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == param
    assert [j["id"] for j in rich.client.get(JOBS).json()["data"][:1]] == [j["id"] for j in before]


def test_a_thousand_jobs_are_handed_in_at_once_and_a_thousand_and_one_are_not(
    idle_server: ServerProcess,
) -> None:
    many = Caller(idle_server, "other")
    items = [{"input": "A.", "voice": "alloy", "model": "it"}] * 1_000

    assert envelope(many.posts(items=[*items, items[0]]), 400)["param"] == "items"
    taken = many.posts(items=items)
    assert taken.status_code == 202
    assert len({job["id"] for job in taken.json()["data"]}) == 1_000


# ---- lists


def test_jobs_are_listed_by_pages_the_newest_first(idle_server: ServerProcess) -> None:
    rich = Caller(idle_server, "rich")
    ids = [rich.hands_in()["id"] for _ in range(5)]

    seen: list[str] = []
    after = ""
    while len(seen) < 5:
        page = rich.client.get(JOBS, params={"limit": 2, "after": after}).json()
        seen += [job["id"] for job in page["data"]]
        after = page["next"]
    assert seen[:5] == ids[::-1]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "limit=x", "after=no-cursor-of-ours", "after=%00", "batch=a%00"),
        f"after={base64.urlsafe_b64encode(b'9' * 40).decode()}",
    ],
)
def test_a_wrong_page_is_refused(rich: Caller, query: str) -> None:
    assert envelope(rich.client.get(f"{JOBS}?{query}"), 400)


# ---- cancelling


def test_a_job_under_way_is_cancelled_and_nothing_is_paid(rich: Caller) -> None:
    before = rich.client.get("/v1/credits").json()["balance"]
    job = rich.hands_in(model="slow", input=TEXT * 200)
    while rich.asks(job["id"])["status"] == "queued":
        time.sleep(0.02)

    cancelled = rich.client.delete(f"{JOBS}/{job['id']}")

    assert cancelled.status_code == 200
    ended = rich.until_ended(job["id"])
    assert (ended["status"], ended["audio"], ended["error"]) == ("cancelled", None, None)
    assert envelope(rich.client.get(f"{JOBS}/{job['id']}/audio"), 409)["code"] == "no_audio"
    assert float(rich.client.get("/v1/credits").json()["balance"]) == pytest.approx(float(before))


def test_a_job_that_has_ended_stays_as_it_is(rich: Caller) -> None:
    job = rich.has_spoken()

    assert rich.client.delete(f"{JOBS}/{job['id']}").json() == job
    assert rich.client.get(f"{JOBS}/{job['id']}/audio").status_code == 200


def test_a_job_that_nobody_wants_to_speak_ends_as_an_error(rich: Caller) -> None:
    ended = rich.until_ended(rich.hands_in(model="no")["id"])

    assert (ended["status"], ended["audio"]) == ("error", None)
    assert (ended["error"]["status"], bool(ended["error"]["message"])) == (400, True)
    assert ended["cost"] in (None, "0")


# ---- watching


def test_progress_is_told_as_it_comes_and_ends_with_the_job(rich: Caller) -> None:
    job = rich.hands_in(model="slow", input=TEXT * 150)

    events = _watched(rich, job["id"])

    kinds = [kind for kind, _ in events]
    assert set(kinds[:-1]) == {"progress"}
    assert kinds[-1] == "completed"
    last = events[-1][1]
    assert last == rich.asks(job["id"])
    spoken = [told["progress"]["characters"] for _, told in events]
    assert spoken == sorted(spoken)
    assert any(0 < one < len(TEXT) * 150 for one in spoken)
    assert last["progress"]["audio_s"] == pytest.approx(last["audio"]["duration_s"], rel=0.2)


def test_who_comes_back_sees_the_end(rich: Caller) -> None:
    job = rich.has_spoken()

    [(kind, told)] = _watched(rich, job["id"], {"last-event-id": "7"})

    assert (kind, told["id"]) == ("completed", job["id"])


def test_a_watcher_hears_of_a_cancellation(rich: Caller) -> None:
    job = rich.hands_in(model="slow", input=TEXT * 400)
    with rich.client.stream("GET", f"{JOBS}/{job['id']}/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.iter_lines()
        assert next(lines) == "id: 1"
        rich.client.delete(f"{JOBS}/{job['id']}")
        kinds = [line for line in lines if line.startswith("event: ")]

    assert kinds[-1] == "event: cancelled"


def test_head_of_the_events_ends_at_once(idle_server: ServerProcess) -> None:
    rich = Caller(idle_server, "rich")
    job = rich.hands_in()

    answer = rich.client.head(f"{JOBS}/{job['id']}/events")

    assert (answer.status_code, answer.content) == (200, b"")


def _watched(
    caller: Caller, id: str, headers: dict[str, str] | None = None
) -> list[tuple[str, dict[str, Any]]]:
    """The events of a job, to the end."""
    with caller.client.stream("GET", f"{JOBS}/{id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        blocks = answer.read().decode().removesuffix("\n\n").split("\n\n")
    told = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(one["event"], json.loads(one["data"])) for one in told if "event" in one]
