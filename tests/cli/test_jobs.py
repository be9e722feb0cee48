"""`tts-router jobs`, against a router that runs."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from tests.api.jobbed import JOBS, TEXT, Caller, jobbed, key_of
from tests.support.process import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with jobbed(tmp_path_factory.mktemp("cli-jobs")) as found:
        yield found


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a text of some pieces."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "book.txt"
    path.write_text(TEXT * 100, "utf-8")
    return path


def typed(server: ServerProcess, *words: str, key: str = "rich", stdin: str = "") -> Result:
    asked = ("jobs", *words, "--url", server.url, "--key", key_of(key))
    return CliRunner().invoke(main, asked, input=stdin)


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result) -> str:
    """The one line of a refusal."""
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    return result.stderr


def test_a_book_is_handed_in_waited_for_and_written(server: ServerProcess, book: Path) -> None:
    result = typed(
        server, "submit", str(book), "--model", "it", "--voice", "alloy", "--wait", "-o", "b.flac"
    )

    assert done(result) == ""
    assert re.search(r"b\.flac: \d+:\d\d:\d\d, [\d,]+ bytes", result.stderr)
    body = book.with_name("b.flac").read_bytes()
    assert body[:4] == b"fLaC"
    assert not list(book.parent.glob("*.part"))


def test_a_job_is_left_to_itself_and_looked_at_later(server: ServerProcess, book: Path) -> None:
    id = done(typed(server, "submit", str(book), "--model", "it")).strip()
    Caller(server, "rich").until_ended(id)

    shown = done(typed(server, "show", id))
    assert shown.startswith(f"{id} is completed")
    assert f"{len(TEXT) * 100:,} of {len(TEXT) * 100:,} characters" in shown
    assert f"{server.url}/v1/audio/files/" in shown
    told = json.loads(done(typed(server, "show", id, "--json")))
    assert (told["id"], told["status"]) == (id, "completed")
    listed = done(typed(server, "list", "--limit", "5"))
    assert re.search(rf"^{id}\s+completed\s", listed, re.MULTILINE)
    assert id in [job["id"] for job in json.loads(done(typed(server, "list", "--json")))["data"]]


def test_who_waits_without_a_file_is_told_where_the_audio_lies(
    server: ServerProcess, book: Path
) -> None:
    told = done(typed(server, "submit", "-", "--model", "it", "--wait", stdin="Hello there."))

    assert told.startswith(f"{server.url}/v1/audio/files/")


def test_audio_goes_into_a_pipe(server: ServerProcess, book: Path) -> None:
    result = typed(server, "submit", str(book), "--format", "wav", "-o", "-")

    assert result.exit_code == 0, result.output
    assert result.stdout_bytes[:4] == b"RIFF"


def test_a_job_is_cancelled(server: ServerProcess, book: Path) -> None:
    id = done(typed(server, "submit", str(book), "--model", "slow")).strip()

    assert done(typed(server, "cancel", id)).startswith(id)
    assert Caller(server, "rich").until_ended(id)["status"] == "cancelled"


def test_of_a_job_that_fails_the_reason_is_told_and_no_file_is_left(
    server: ServerProcess, book: Path
) -> None:
    said = refused(typed(server, "submit", str(book), "--model", "no", "-o", "b.mp3"))

    assert "was not spoken" in said
    assert list(book.parent.iterdir()) == [book]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("submit", "book.txt", "--model", "nobody"), "404"),
        (("submit", "empty.txt"), "empty"),
        (("submit", "latin.txt"), "not UTF-8"),
        (("submit", "book.txt", "-o", "no/such/folder/b.mp3"), "no/such/folder"),
        (("submit", "book.txt", "--webhook-url", "ftp://example.com"), "webhook_url"),
        (("show", f"run_{'a' * 22}"), "404"),
        (("cancel", "nothing"), "404"),
        (("list", "--batch", "x" * 65), "400"),
    ],
)
def test_a_refusal_is_one_line(
    server: ServerProcess, book: Path, words: tuple[str, ...], told: str
) -> None:
    (book.parent / "empty.txt").write_text(" \n")
    (book.parent / "latin.txt").write_bytes(b"caf\xe9")

    assert told in refused(typed(server, *words))


def test_the_key_comes_from_the_environment_as_well(
    server: ServerProcess, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTS_ROUTER_KEY", key_of("rich"))
    with_key = CliRunner().invoke(main, ("jobs", "list", "--url", server.url))
    monkeypatch.delenv("TTS_ROUTER_KEY")
    without = CliRunner().invoke(main, ("jobs", "list", "--url", server.url))

    assert with_key.exit_code == 0
    assert "401" in refused(without)
    assert key_of("rich") not in with_key.output


def test_where_nobody_answers_that_is_said(book: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"

    result = CliRunner().invoke(main, ("jobs", "submit", str(book), "--model", "x", "--url", url))

    assert f"no server answers at http://127.0.0.1:{port}" in refused(result)


def test_a_folder_that_is_not_there_is_told_before_anything_is_spoken(
    server: ServerProcess, book: Path
) -> None:
    before = Caller(server, "rich").client.get(JOBS).json()["data"][:1]

    refused(typed(server, "submit", str(book), "--model", "it", "-o", "no/such/folder/b.mp3"))

    assert Caller(server, "rich").client.get(JOBS).json()["data"][:1] == before
