"""The examples of LEAPERone's and NanoGPT's pages: only host, key and output name are changed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.support import sound
from tests.support.process import ServerProcess

WELCOME = "Hello, welcome to LEAPERone."
CLONED = "This text will be spoken in the cloned voice."


def _curl(*arguments: str, folder: Path) -> None:
    command = [sound.needed("curl"), "--silent", "--show-error", "--fail-with-body", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _is_leapers_wav(file: Path, text: str) -> bool:
    heard = sound.of_wav(file.read_bytes())
    told = sound.probed(file)
    assert (told.container, told.codec) == ("wav", "pcm_s16le")
    assert (told.sample_rate, told.channels) == (48_000, 2)
    assert told.seconds == pytest.approx(heard.seconds, abs=0.01)
    return heard.is_audible and heard.could_say(text)


@pytest.fixture
def reference(server: ServerProcess, tmp_path: Path) -> Path:
    """`reference.mp3`: some seconds of somebody's speech."""
    body = {"model": "tts-1", "input": WELCOME * 3, "voice": "onyx", "response_format": "mp3"}
    arguments = ("-H", "Content-Type: application/json", "-d", json.dumps(body))
    _curl(f"{server.url}/v1/audio/speech", *arguments, "--output", "reference.mp3", folder=tmp_path)
    return tmp_path / "reference.mp3"


def test_leapers_first_curl_call(server: ServerProcess, tmp_path: Path) -> None:
    _curl(
        *("-X", "POST", f"{server.url}/v1/audio/speech"),
        *("-H", "Authorization: Bearer sk-your-api-key"),
        *("-H", "Content-Type: application/json"),
        "-d",
        """{
        "model": "moss-tts-nano",
        "input": "Hello, welcome to LEAPERone.",
        "voice": "alloy"
        }""",
        *("--output", "speech.wav"),
        folder=tmp_path,
    )

    assert _is_leapers_wav(tmp_path / "speech.wav", WELCOME)


def test_leapers_second_curl_call(server: ServerProcess, reference: Path) -> None:
    folder = reference.parent
    _curl(
        *("-X", "POST", f"{server.url}/v1/audio/speech"),
        *("-H", "Authorization: Bearer sk-your-api-key"),
        *("-F", "model=moss-tts-nano"),
        *("-F", f"input={CLONED}"),
        *("-F", "voice=alloy"),
        *("-F", f"prompt_audio=@{reference.name}"),
        *("--output", "cloned.wav"),
        folder=folder,
    )

    assert _is_leapers_wav(folder / "cloned.wav", CLONED)


# `stream_to_file` of a plain answer is deprecated by the SDK; the page still shows it.
@pytest.mark.filterwarnings("ignore:.*stream_to_file.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*with_streaming_response.*:DeprecationWarning")
def test_leapers_python_snippet(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    client = OpenAI(
        base_url=f"{server.url}/v1",
        api_key="sk-your-api-key",
    )
    response = client.audio.speech.create(
        model="moss-tts-nano",
        input="Hello, welcome to LEAPERone.",
        voice="alloy",
    )
    response.stream_to_file("speech.wav")
    client.close()

    assert _is_leapers_wav(tmp_path / "speech.wav", WELCOME)


@pytest.mark.parametrize(
    ("format", "accept", "codec"),
    [("mp3", "audio/mpeg", "mp3"), ("wav", "audio/wav", "pcm_s16le")],
)
def test_nanogpts_curl_call(
    server: ServerProcess, tmp_path: Path, format: str, accept: str, codec: str
) -> None:
    """The page's own is mp3."""
    _curl(
        *("-X", "POST"),
        *("-H", "Authorization: Bearer $NANOGPT_API_KEY"),
        *("-H", "Content-Type: application/json"),
        *("-H", f"Accept: {accept}"),
        f"{server.url}/v1/speech",
        "-d",
        f"""{{
            "model": "nano-tts-1",
            "input": "Hello from NanoGPT!",
            "voice": "luna",
            "format": "{format}"
        }}""",
        *("--output", f"speech.{format}"),
        folder=tmp_path,
    )

    told = sound.probed(tmp_path / f"speech.{format}")
    assert told.codec == codec
    assert 0.5 < told.seconds < 4


def test_what_can_be_had_is_in_the_error_and_can_be_had(
    server: ServerProcess, tmp_path: Path
) -> None:
    """Whatever encoders there are: each format that a refusal names is one that is answered."""
    refused = _nanogpt(server, tmp_path, "midi")
    assert refused["error"]["type"] == "unsupported_format"
    assert refused["error"]["param"] == "format"

    named = refused["error"]["message"].rpartition(":")[2].strip(" .").split(", ")
    assert "wav" in named
    for format in named:
        assert _nanogpt(server, tmp_path, format) == {}, format


def _nanogpt(server: ServerProcess, folder: Path, format: str) -> dict[str, Any]:
    """The refusal, or nothing when there was speech."""
    body = {
        "model": "nano-tts-1",
        "input": "Hello from NanoGPT!",
        "voice": "luna",
        "format": format,
        "sample_rate": 16_000,
    }
    command = (
        *(sound.needed("curl"), "--silent", "--output", "answer", "--write-out", "%{content_type}"),
        *("-H", "Content-Type: application/json", "-d", json.dumps(body)),
    )
    done = subprocess.run(
        [*command, f"{server.url}/v1/speech"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = (folder / "answer").read_bytes()
    assert answer
    found: dict[str, Any] = json.loads(answer) if done.stdout == "application/json" else {}
    return found
