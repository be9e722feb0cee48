"""The audio of a job by its address: for anybody, from anywhere, whole or in parts."""

from __future__ import annotations

import resource
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.jobbed import JOBS, TEXT, Caller, jobbed
from tests.api.served import envelope
from tests.support.process import ServerProcess

LONG = TEXT * 150
READERS = 8


class File:
    """A finished file: its address, what it is, and all of its bytes."""

    def __init__(self, caller: Caller) -> None:
        self.job = caller.has_spoken(input=LONG, response_format="flac")
        self.about: dict[str, Any] = self.job["audio"]
        self.url: str = self.about["url"]
        self.whole = httpx.get(self.url, trust_env=False)

    def get(self, method: str = "GET", /, **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(method, self.url, headers=sent, trust_env=False)


@pytest.fixture(scope="module")
def file(jobs_server: ServerProcess) -> File:
    return File(Caller(jobs_server, "rich"))


@pytest.fixture(scope="module")
def at_home(open_server: ServerProcess) -> File:
    """The same from a server without keys, which keeps foreign pages out."""
    return File(Caller(open_server, ""))


def test_it_is_fetched_without_a_key_and_is_what_it_says(file: File) -> None:
    answer = file.whole

    assert answer.status_code == 200
    assert answer.headers["content-type"] == file.about["content_type"] == "audio/flac"
    assert int(answer.headers["content-length"]) == file.about["bytes"] == len(answer.content)
    assert answer.content[:4] == b"fLaC"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"].startswith("private, max-age=")
    assert file.about["name"] in answer.headers["content-disposition"]


def test_its_address_is_absolute_and_cannot_be_guessed(file: File) -> None:
    token = urlsplit(file.url).path.split("/")[-2]

    assert file.url.startswith("http://127.0.0.1:")
    assert len(token) >= 22
    assert file.job["id"].removeprefix("run_") not in token


@pytest.mark.parametrize("change", ["token", "name"])
def test_a_wrong_address_leads_to_nothing(file: File, change: str) -> None:
    *start, token, name = file.url.split("/")
    wrong = ["x" + token[1:], name] if change == "token" else [token, "else.flac"]
    if token[0] == "x":
        wrong[0] = "y" + token[1:]

    answer = httpx.get("/".join([*start, *wrong]), trust_env=False)

    assert envelope(answer, 404)["code"] == "job_not_found"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, None), ("bytes=-7", -7, None)],
)
def test_a_part_is_a_part_of_the_whole(
    file: File, asked: str, first: int, last: int | None
) -> None:
    answer = file.get(range=asked)

    assert answer.status_code == 206
    assert answer.content == file.whole.content[first:last]
    size = len(file.whole.content)
    begin = first % size
    told = f"bytes {begin}-{begin + len(answer.content) - 1}/{size}"
    assert answer.headers["content-range"] == told
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_players_that_ask_for_all_of_it_by_a_range_get_a_206(file: File) -> None:
    answer = file.get(range="bytes=0-")

    assert (answer.status_code, answer.content) == (206, file.whole.content)


def test_a_part_behind_the_end_is_refused_with_the_size(file: File) -> None:
    answer = file.get(range=f"bytes={len(file.whole.content)}-")

    assert envelope(answer, 416)["code"] == "range_not_satisfiable"
    assert answer.headers["content-range"] == f"bytes */{len(file.whole.content)}"


def test_a_part_is_refused_where_the_file_has_become_another(file: File) -> None:
    tag = file.whole.headers["etag"]

    assert file.get(range="bytes=0-9", if_range=tag).status_code == 206
    assert file.get(range="bytes=0-9", if_range='"another"').status_code == 200


def test_who_has_it_already_is_told_so(file: File) -> None:
    tag = file.whole.headers["etag"]

    for known in (tag, f"W/{tag}", f'"a", {tag}', "*"):
        answer = file.get(if_none_match=known)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert file.get(if_none_match='"another"').status_code == 200


def test_head_tells_all_but_the_bytes(file: File) -> None:
    answer = file.get("HEAD")

    assert (answer.status_code, answer.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "accept-ranges"):
        assert answer.headers[name] == file.whole.headers[name]
    part = file.get("HEAD", range="bytes=0-9")
    assert (part.status_code, part.headers["content-length"]) == (206, "10")


# ---- pages


@pytest.mark.parametrize("where", ["file", "at_home"])
def test_pages_of_any_origin_may_fetch_it(where: str, request: pytest.FixtureRequest) -> None:
    found: File = request.getfixturevalue(where)
    origin = {"origin": "https://player.example"}

    for answer in (found.get(**origin), found.get(range="bytes=0-9", **origin)):
        assert answer.status_code in (200, 206)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "content-range" in answer.headers["access-control-expose-headers"].lower()
    asked = found.get(
        "OPTIONS",
        access_control_request_method="GET",
        access_control_request_headers="range",
        **origin,
    )
    assert asked.is_success
    assert asked.headers["access-control-allow-origin"] == "*"


def test_at_home_a_foreign_name_for_this_machine_is_still_refused(at_home: File) -> None:
    assert envelope(at_home.get(host="rebound.example"), 403)["code"] == "forbidden"


def test_at_home_a_foreign_page_still_cannot_hand_in_a_job(open_server: ServerProcess) -> None:
    foreign = {"origin": "https://player.example"}

    assert envelope(Caller(open_server, "").posts(headers=foreign), 403)
    told = httpx.post(f"{open_server.url}/tts", json={"text": TEXT}, headers=foreign)
    assert isinstance(told.json()["error"], str)


# ---- readers


@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")
def test_readers_who_stand_still_take_no_memory_and_are_let_go_when_they_leave(
    jobs_server: ServerProcess,
) -> None:
    job = Caller(jobs_server, "rich").has_spoken(model="long", input=LONG, response_format="wav")
    url, size = urlsplit(job["audio"]["url"]), job["audio"]["bytes"]
    before = _resident_bytes(jobs_server.pid)
    with ExitStack() as stack:
        for _ in range(READERS):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            reader.settimeout(5)
            reader.connect((url.hostname, url.port))
            reader.sendall(f"GET {url.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert reader.recv(64).startswith(b"HTTP/1.1 200")
        grown = _resident_bytes(jobs_server.pid) - before

    assert grown < READERS * size / 4, (grown, size)
    whole = httpx.get(job["audio"]["url"], trust_env=False).content
    assert len(whole) == size
    assert _open_files(jobs_server.pid, f"{job['id']}") == 0


def test_many_read_at_once(file: File) -> None:
    with ThreadPoolExecutor(READERS) as threads:
        answers = list(threads.map(lambda _: file.get().content, range(READERS)))

    assert answers == [file.whole.content] * READERS


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _open_files(pid: int, part: str) -> int:
    """Files of this name that a process holds, once it had a moment to let go of them."""
    until = time.monotonic() + 5
    while True:
        links = []
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                links.append(str(entry.readlink()))
        held = len([link for link in links if part in link])
        if not held or time.monotonic() > until:
            return held
        time.sleep(0.02)


# ---- its end


def test_when_its_time_is_over_it_is_gone(tmp_path: Path) -> None:
    with jobbed(tmp_path, keep_s=2) as server:
        caller = Caller(server, "rich")
        job = caller.has_spoken()
        url = job["audio"]["url"]
        until = time.monotonic() + 30
        while (answer := httpx.get(url, trust_env=False)).status_code == 200:
            assert time.monotonic() < until
            time.sleep(0.2)

        assert envelope(answer, 404)["code"] == "job_not_found"
        assert time.time() >= job["expires_at"]
        poll = {"runId": job["id"], "model": "it"}
        while (told := caller.client.get("/tts/status", params=poll)).status_code == 200:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert told.status_code == 404


def test_it_goes_with_its_job(jobs_server: ServerProcess, file: File) -> None:
    assert file.about["expires_at"] == file.job["expires_at"]
    until = int(file.whole.headers["cache-control"].rpartition("=")[2]) + time.time()
    assert until == pytest.approx(file.about["expires_at"], abs=30)
    assert Caller(jobs_server, "rich").client.get(f"{JOBS}/{file.job['id']}").status_code == 200
