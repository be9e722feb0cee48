"""Every request for speech is published exactly once, and nobody's words are in the log."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.live.conftest import CAST, STALL_S
from tests.support.process import ServerProcess, serving
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, asking, models, scripted
from tests.support.wire import Answer, connected, exchange

WORDS = "Streng geheim: žluťoučký kůň №7 «Ω»"
KEY = "sk-nobody-may-read-this"
FILE_NAME = "my-own-voice.wav"
BOUNDARY = "------------------------d74496d66958873e"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    providers = {name: CAST[name] for name in ("good", "broken", "bug", "crashing", "stalling")}
    providers["endless"] = scripted(seconds=1e6, pace=0.2)
    config = {
        "integrity": UNJUDGED,
        "providers": providers,
        "models": models({name: (name,) for name in providers}),
        "timeouts": {"stall_s": STALL_S},
    }
    with serving(config, tmp_path_factory.mktemp("records"), plugins=[SCRIPTED]) as server:
        yield server


def _multipart(**fields: str) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return ("".join(parts) + f"--{BOUNDARY}--\r\n").encode()


def _sample(data: bytes) -> bytes:
    about = f'Content-Disposition: form-data; name="prompt_audio"; filename="{FILE_NAME}"'
    head = f"--{BOUNDARY}\r\n{about}\r\nContent-Type: audio/wav\r\n\r\n"
    return head.encode() + data + b"\r\n" + _multipart(input=WORDS)


SAID = asking("good", input=WORDS)
REFUSED: dict[str, tuple[str, Any, dict[str, str], int]] = {
    "cut JSON": (SPEECH, json.dumps(SAID)[:-5].encode(), {}, 400),
    "a list": (SPEECH, json.dumps([WORDS]).encode(), {}, 400),
    "another type": (SPEECH, WORDS.encode(), {"Content-Type": "text/plain"}, 415),
    "no input": (SPEECH, {"model": "good", "voice": "alloy"}, {}, 400),
    "an input that is a list": (SPEECH, asking("good", input=[WORDS]), {}, 400),
    "a long input": (SPEECH, asking("good", input=WORDS * 200), {}, 400),
    "an unknown model": (SPEECH, asking("nobody", input=WORDS), {}, 404),
    "an unknown voice": (SPEECH, asking("good", input=WORDS, voice="nobody"), {}, 400),
    "an unknown format": (SPEECH, asking("good", input=WORDS, response_format="midi"), {}, 400),
    "a bad form": (SPEECH, _multipart(input=WORDS)[:-9], MULTIPART, 400),
    "a bad sample": (SPEECH, _sample(b"no audio" * 9), MULTIPART, 400),
    "too large a sample": (SPEECH, _sample(bytes(1_048_577)), MULTIPART, 400),
    "NanoGPT's shape": ("/v1/speech", {"model": "good", "input": WORDS}, {}, 400),
    "too large a body": (SPEECH, asking("good", input=WORDS * 250_000), {}, 413),
    "a provider that fails": (SPEECH, asking("broken", input=WORDS), {}, 502),
    "a provider with a bug": (SPEECH, asking("bug", input=WORDS), {}, 502),
}
SPOKEN: dict[str, tuple[str, Any, dict[str, str]]] = {
    "JSON": (SPEECH, SAID, {}),
    "JSON with escapes": (SPEECH, json.dumps(SAID).encode(), {}),
    "JSON in UTF-8": (SPEECH, json.dumps(SAID, ensure_ascii=False).encode(), {}),
    "a form": (SPEECH, f"model=good&voice=alloy&input={quote(WORDS)}".encode(), FORM),
    "multipart": (SPEECH, _multipart(model="good", voice="alloy", input=WORDS), MULTIPART),
    "NanoGPT's shape": ("/v1/speech", SAID | {"format": "wav"}, {}),
    "the newer spelling": ("/api/v1/audio/speech", SAID, {}),
    "nothing to say": (SPEECH, asking("good", input="."), {}),
}


async def _asked(
    server: ServerProcess, name: str, path: str, body: Any, headers: dict[str, str]
) -> tuple[Answer, dict[str, Any]]:
    """The answer, and the record that is published under the id that we chose."""
    own = {"X-Request-ID": _id(name), "Authorization": f"Bearer {KEY}", **headers}
    answer = await exchange(server.url, path, body, headers=own)
    assert answer.headers["x-request-id"] == _id(name)
    return answer, await _record(server, name)


def _id(name: str) -> str:
    return name.replace(" ", "-").replace("'", "")


async def _record(server: ServerProcess, name: str) -> dict[str, Any]:
    return await asyncio.to_thread(server.log.record, _id(name))


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_request_has_its_record(server: ServerProcess, name: str) -> None:
    path, body, headers, status = REFUSED[name]
    answer, record = await _asked(server, f"refused: {name}", path, body, headers)

    assert (answer.status, record["status"]) == (status, status)
    assert record["outcome"] == ("failed" if status == 502 else "refused")
    assert record["reason"]


@pytest.mark.parametrize("name", SPOKEN)
async def test_a_spoken_request_has_its_record(server: ServerProcess, name: str) -> None:
    path, body, headers = SPOKEN[name]
    answer, record = await _asked(server, f"spoken: {name}", path, body, headers)

    assert answer.whole
    assert (record["outcome"], record["status"]) == ("spoken", 200)
    assert record["audio_bytes"] == len(answer.body) > 0


@pytest.mark.parametrize("name", ["crashing", "stalling"])
async def test_a_broken_speech_has_its_record(server: ServerProcess, name: str) -> None:
    body = asking(name, input=WORDS)
    _, record = await _asked(server, f"broken: {name}", SPEECH, body, {})

    assert record["outcome"] == "broken"


@pytest.mark.parametrize("moment", ["at once", "half-way through the body", "while it speaks"])
async def test_a_hang_up_has_its_record(server: ServerProcess, moment: str) -> None:
    name = f"hang-up: {moment}"
    headers = {"X-Request-ID": _id(name)}
    async with connected(server.url) as line:
        if moment == "half-way through the body":
            length = str(len(json.dumps(SAID)) + 5)
            await line.ask(SPEECH, SAID, headers={**headers, "Content-Length": length})
        else:
            await line.ask(SPEECH, asking("endless", input=WORDS), headers=headers)
        if moment == "while it speaks":
            assert await line.piece(await line.head())
        line.finish()
        record = await _record(server, name)

    assert record["outcome"] == "abandoned"
    assert record["status"] == (499 if record["first_audio_s"] is None else 200)


async def test_a_sample_of_a_voice_has_its_record(server: ServerProcess) -> None:
    headers = {"X-Request-ID": "sample"}
    answer = await exchange(server.url, "/v1/voices/alloy/sample", headers=headers)

    assert (await _record(server, "sample"))["status"] == answer.status


async def test_what_asks_for_no_speech_has_none(server: ServerProcess) -> None:
    asked = {
        "look": "/v1/models",
        "lost": "/v1/nothing",
        "misdirected": SPEECH,
        "health": "/health/live",
    }
    for name, path in asked.items():
        await exchange(server.url, path, headers={"X-Request-ID": name})
    await _asked(server, "after these", SPEECH, SAID, {})

    assert not {record["request_id"] for record in server.log.records} & {*asked}


async def test_nobody_has_two_records(server: ServerProcess) -> None:
    """Last of those here that ask: all the requests above are in the log by now."""
    await _asked(server, "the last", SPEECH, SAID, {})

    counts = Counter(record["request_id"] for record in server.log.records)
    assert {name: count for name, count in counts.items() if count > 1} == {}


async def test_nobodys_words_are_in_the_log(server: ServerProcess) -> None:
    await _asked(server, "words", f"{SPEECH}?input={quote(WORDS)}", SAID, {})
    await exchange(server.url, f"/v1/{quote(WORDS)}", SAID)
    await exchange(server.url, f"/v1/models/{quote(WORDS)}")

    text = server.log.text
    assert len(server.log.records) > 1
    assert _spellings(WORDS, text) == []
    assert KEY not in text
    assert FILE_NAME not in text


def _spellings(words: str, text: str) -> list[str]:
    """In which of the ways in which programs write words these stand in the text."""
    lowered = text.casefold()
    ways = [
        way
        for word in [words, *(word for word in words.split() if not word.isascii())]
        for way in (
            *(word, json.dumps(word)[1:-1], ascii(word)[1:-1]),
            *(quote(word), quote(word, safe="«»:№"), quote_plus(word)),
            *(repr(word.encode())[2:-1], word.encode().decode("latin-1")),
        )
    ]
    return [way for way in ways if way.casefold() in lowered]


async def test_the_search_for_words_would_find_them() -> None:
    """The test of the test: each spelling is found where it stands."""
    for text in (
        WORDS,
        quote(WORDS),
        json.dumps(WORDS),
        repr(WORDS.encode()),
        f"x{WORDS.upper()}x",
    ):
        assert _spellings(WORDS, f"a line with {text} in it")
