"""Polls while the store is gone: never a 429 or a 503, and nothing that is not so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.jobbed import JOBS, STATUS, TEXT, Caller, jobbed
from tests.api.served import envelope
from tests.support import postgres
from tests.support.postgres import Postgres
from tests.support.process import ServerProcess

pytestmark = pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing())


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="module")
def server(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with jobbed(tmp_path_factory.mktemp("lost"), store=database.url()) as found:
        yield found


def polled(caller: Caller, id: str) -> httpx.Response:
    return caller.client.get(STATUS, params={"runId": id, "model": "it"})


@pytest.fixture(scope="module")
def lost(server: ServerProcess, database: Postgres) -> Iterator[dict[str, Any]]:
    """A job that was asked after, and one that was not, of a store that is gone since."""
    caller = Caller(server, "rich")
    seen = caller.has_spoken()
    unseen = caller.hands_in(model="slow", input=TEXT * 100)
    database.stop()
    try:
        yield {"seen": seen, "unseen": unseen}
    finally:
        database.start()


def test_what_was_known_last_is_told_again(server: ServerProcess, lost: dict[str, Any]) -> None:
    caller = Caller(server, "rich")
    told = [polled(caller, lost["seen"]["id"]) for _ in range(3)]

    assert {answer.status_code for answer in told} == {200}
    assert {answer.json()["status"] for answer in told} == {"completed"}
    assert caller.asks(lost["seen"]["id"])["audio"] == lost["seen"]["audio"]


def test_a_job_of_which_nothing_is_known_is_pending(
    server: ServerProcess, lost: dict[str, Any]
) -> None:
    caller = Caller(server, "rich")
    nobody_knows = f"run_{'a' * 22}"

    answer = polled(caller, nobody_knows)
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert isinstance(answer.json()["queuePosition"], int)
    told = caller.asks(nobody_knows)
    assert (told["status"], told["stale"]) == ("queued", True)


def test_a_submission_is_refused_with_a_time_to_come_again(
    server: ServerProcess, lost: dict[str, Any]
) -> None:
    answer = Caller(server, "rich").posts()

    assert envelope(answer, 503)["code"] == "overloaded"
    assert int(answer.headers["retry-after"]) >= 1


def test_what_is_another_keys_stays_so(server: ServerProcess, lost: dict[str, Any]) -> None:
    answer = polled(Caller(server, "other"), lost["seen"]["id"])

    assert "audioUrl" not in answer.text


def test_without_a_key_nothing_is_told_even_so(server: ServerProcess, lost: dict[str, Any]) -> None:
    assert polled(Caller(server, ""), lost["seen"]["id"]).status_code == 401
    assert f"{JOBS}/" not in polled(Caller(server, "nobody-of-ours"), lost["seen"]["id"]).text
