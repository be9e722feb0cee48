"""NanoGPT's documented clients of the flow of jobs, in Python, JavaScript and a shell.

The loops are those of its pages (Nano-GPT-com/docs, api-reference/endpoint/tts.mdx and
tts-status.mdx, 2026-08-22), written anew: the same calls, parameters, checks and errors. Only the
pause between two polls is shorter.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.audio.ffmpeg import heard
from tests.support import sound
from tests.support.process import ServerProcess

KEY = "sk-nano-any"
TEXT = "Hello! Welcome to our service."
TICKET, URL, AUDIO = "Elevenlabs-Turbo-V2.5", "Kokoro-82m", "tts-1-hd"
ATTEMPTS, DELAY_S = 60, 0.2


# ---- Python


def submit(base: str, **payload: Any) -> requests.Response:
    headers = {"x-api-key": KEY, "Content-Type": "application/json"}
    return requests.post(f"{base}/tts", headers=headers, json=payload, timeout=30)


def tts_status(
    base: str,
    run_id: str,
    model: str,
    *,
    cost: object = None,
    payment_source: str | None = None,
    is_api_request: bool | None = True,
) -> dict[str, Any]:
    params = {"runId": run_id, "model": model}
    if isinstance(cost, int | float):
        params["cost"] = str(cost)
    if payment_source:
        params["paymentSource"] = str(payment_source)
    if isinstance(is_api_request, bool):
        params["isApiRequest"] = str(is_api_request)  # Python's True, with a capital
    answer = requests.get(
        f"{base}/tts/status", headers={"x-api-key": KEY}, params=params, timeout=30
    )
    answer.raise_for_status()
    told: dict[str, Any] = answer.json()
    return told


def wait_for_tts(base: str, run_id: str, model: str, **echoed: Any) -> str:
    for _ in range(ATTEMPTS):
        data = tts_status(base, run_id, model, **echoed)
        if data.get("status") == "completed" and data.get("audioUrl"):
            return str(data["audioUrl"])
        if data.get("status") == "error":
            raise RuntimeError(data.get("error", "TTS generation failed"))
        time.sleep(DELAY_S)
    raise TimeoutError("Polling timeout")


def text_to_speech(base: str, text: str, **kwargs: Any) -> bytes:
    """The page's first example: an address or audio, and nothing else is a success."""
    answer = submit(base, text=text, **kwargs)
    if answer.status_code != 200:
        raise RuntimeError(f"Error: {answer.status_code}")
    if "application/json" in answer.headers.get("content-type", ""):
        return requests.get(answer.json()["audioUrl"], timeout=30).content
    return answer.content


@pytest.fixture(params=["", "/api"])
def base(request: pytest.FixtureRequest, server: ServerProcess) -> str:
    return f"{server.url}{request.param}"


@pytest.fixture
def is_speech(tmp_path: Path) -> Callable[[bytes, str], bool]:
    """Whether a body is audible speech of the text, in this container."""

    def listen(body: bytes, container: str) -> bool:
        (came,) = heard([body], tmp_path)
        assert came.container == container
        return len(TEXT) / 30 < came.frames / came.rate < len(TEXT) / 5 + 0.5

    return listen


def test_the_python_loop_with_all_that_the_ticket_says(
    base: str, is_speech: Callable[[bytes, str], bool]
) -> None:
    answer = submit(base, text=TEXT, model=TICKET, voice="alloy", speed=1.0)
    assert answer.status_code == 202
    ticket = answer.json()

    url = wait_for_tts(
        base,
        ticket["runId"],
        ticket["model"],
        cost=ticket["cost"],
        payment_source=ticket["paymentSource"],
        is_api_request=ticket["isApiRequest"],
    )

    assert is_speech(requests.get(url, timeout=30).content, "mp3")


def test_the_python_loop_with_run_id_and_model_alone(
    base: str, is_speech: Callable[[bytes, str], bool]
) -> None:
    ticket = submit(base, text=TEXT, model=TICKET, response_format="wav").json()

    url = wait_for_tts(base, ticket["runId"], ticket["model"], is_api_request=None)

    assert is_speech(requests.get(url, timeout=30).content, "wav")


@pytest.mark.parametrize("model", [URL, AUDIO])
def test_the_first_python_example(
    base: str, model: str, is_speech: Callable[[bytes, str], bool]
) -> None:
    body = text_to_speech(base, TEXT, model=model, response_format="wav")

    assert is_speech(body, "wav")


def test_without_a_model_the_documented_one_answers(
    base: str, is_speech: Callable[[bytes, str], bool]
) -> None:
    assert is_speech(text_to_speech(base, TEXT), "mp3")


def test_errors_reach_python_as_the_page_says(base: str) -> None:
    with pytest.raises(RuntimeError, match="400"):
        text_to_speech(base, "")
    with pytest.raises(requests.HTTPError, match="404"):
        wait_for_tts(base, "98b0d593-fe8d-49b8-89c9-233022232297", TICKET)
    ticket = submit(base, text=TEXT, model="refused").json()
    with pytest.raises(RuntimeError, match="in the script"):
        wait_for_tts(base, ticket["runId"], ticket["model"])


# ---- JavaScript

LOOP = """
const [base, model, only] = process.argv.slice(2);
const headers = {'x-api-key': 'sk-nano-any', 'Content-Type': 'application/json'};

async function submitTTS(payload) {
  const res = await fetch(`${base}/tts`, {method: 'POST', headers, body: JSON.stringify(payload)});
  if (res.status === 202) return await poll(await res.json());
  if (!res.ok) {
    const err = await res.json().catch(() => ({}));
    throw new Error(err.error || 'TTS request failed');
  }
  const type = res.headers.get('content-type') || '';
  if (type.includes('application/json')) return (await res.json()).audioUrl;
  return await res.blob();
}

async function poll({runId, model, cost, paymentSource, isApiRequest}) {
  for (let i = 0; i < 60; i++) {
    const qs = new URLSearchParams({runId, model});
    if (!only) {
      if (typeof cost === 'number') qs.set('cost', String(cost));
      if (paymentSource) qs.set('paymentSource', String(paymentSource));
      if (typeof isApiRequest === 'boolean') qs.set('isApiRequest', String(isApiRequest));
    }
    const res = await fetch(`${base}/tts/status?${qs}`, {headers: {'x-api-key': 'sk-nano-any'}});
    if (!res.ok) {
      const err = await res.json().catch(() => ({}));
      throw new Error(err.error || `Polling failed (${res.status})`);
    }
    const data = await res.json();
    if (data.status === 'completed' && data.audioUrl) return data.audioUrl;
    if (data.status === 'error') throw new Error(data.error || 'TTS generation failed');
    await new Promise(done => setTimeout(done, 200));
  }
  throw new Error('Polling timeout');
}

let told = {};
try {
  const heard = await submitTTS({text: process.env.TEXT, model, voice: 'alloy', speed: 1});
  if (heard instanceof Blob) told = {kind: 'blob', type: heard.type, bytes: heard.size};
  else {
    const audio = await fetch(heard);
    told = {kind: 'url', type: audio.headers.get('content-type'), bytes: (await audio.blob()).size};
  }
} catch (error) { told = {kind: 'error', message: error.message}; }
console.log(JSON.stringify(told));
"""


def node(folder: Path, base: str, model: str, *only: str, text: str = TEXT) -> dict[str, Any]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no node on this machine")
    script = folder / "loop.mjs"
    script.write_text(LOOP, "utf-8")
    done = subprocess.run(
        [program, str(script), base, model, *only],
        env={"TEXT": text},
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(
    ("model", "only", "kind"),
    [(TICKET, (), "url"), (TICKET, ("only",), "url"), (URL, (), "url"), (AUDIO, (), "blob")],
)
def test_the_javascript_loop(
    base: str, tmp_path: Path, model: str, only: tuple[str, ...], kind: str
) -> None:
    told = node(tmp_path, base, model, *only)

    assert (told["kind"], told["type"]) == (kind, "audio/mpeg"), told
    assert told["bytes"] > 5_000


def test_errors_reach_javascript_as_strings(base: str, tmp_path: Path) -> None:
    assert "text" in node(tmp_path, base, TICKET, text=" ")["message"]
    for told in (node(tmp_path, base, "nobody-of-ours"), node(tmp_path, base, "refused")):
        assert told["kind"] == "error"
        assert "[object" not in told["message"]


# ---- a shell


def test_curl_and_jq_poll_with_run_id_and_model(server: ServerProcess, tmp_path: Path) -> None:
    curl = sound.needed("curl")
    ticket = submit(server.url, text=TEXT, model=TICKET).json()
    query = f"runId={ticket['runId']}&model={TICKET}"
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            [curl, "-s", f"{server.url}/api/tts/status?{query}", "-H", f"x-api-key: {KEY}"],
            capture_output=True,
            check=True,
            timeout=30,
        )
        told = json.loads(done.stdout)
        if told["status"] == "completed":
            break
        assert told["status"] == "pending"
        time.sleep(DELAY_S)

    saved = tmp_path / "speech.mp3"
    subprocess.run([curl, "-s", "-f", told["audioUrl"], "-o", saved], check=True, timeout=30)
    assert sound.probed(saved).container == "mp3"
