"""The watch over the whole suite finds what is told, however it is told: else it would be none.

Each case below is a test that leaks on purpose, run by a pytest of its own with the same plugin.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.support.process import ROOT

HEAD = """
import base64, io, json, logging, sys
import httpx, httpx2, structlog
from router.contract.provider import Secret
from router.contract.record import ProviderFailed, SpeechRecord
from router.dispatch.observers import Observers
from tests.support import process, wire

TEXT = "Der Rabe flog über den stillen See, und niemand sah ihn kommen."
KEY = "sk-canary-0123456789"
CLIP = bytes(range(256)) * 4

def ask(text=TEXT, **headers):
    wire.request("/v1/audio/speech", {"input": text, "voice": "alloy"}, headers=headers)

def record(**fields):
    return SpeechRecord(request_id="1", shape="openai", opened=0.0, **fields)

def form(httpx, answer="fine", path="/v1/audio/speech"):
    moves = httpx.MockTransport(lambda request: httpx.Response(200, text=answer))
    with httpx.Client(transport=moves) as client:
        files = {"prompt_audio": ("me.wav", CLIP)}
        client.post(f"http://x{path}", data={"input": TEXT}, files=files)
"""
LEAKS = {
    "a_line_of_ours": "ask(); structlog.get_logger().info('asked', said=TEXT)",
    "a_line_of_a_library": "ask(); logging.getLogger('lib').warning('asked for %s', TEXT)",
    "a_name_of_a_thing": "ask(); structlog.get_logger().info(f'asked for {TEXT[:30]}…')",
    "what_is_printed": "ask(); print(TEXT)",
    "bytes_of_it": "ask(); print(TEXT.encode())",
    "its_json": "ask(); print(json.dumps(TEXT))",
    "a_record": "ask(); Observers().recorded(record(voice=TEXT))",
    "an_event": "ask(); Observers().noticed(ProviderFailed('one', 'm', TEXT[-30:]))",
    "a_servers_log": (
        "ask(); log = process.Log(io.StringIO(json.dumps({'event': TEXT}))); log.close()"
    ),
    "an_exposition": "ask(); form(httpx, 'tts_requests{text=\"' + TEXT + '\"} 1', '/metrics')",
    "a_key": "ask(Authorization=f'Bearer {KEY}'); print('refused', KEY)",
    "a_secret": "Secret(KEY); print(f'connecting with {KEY}')",
    "a_form_of_httpx": "form(httpx); print(TEXT)",
    "a_form_of_httpx2": "form(httpx2); print(TEXT)",
    "a_sample": "form(httpx2); print(CLIP[:600])",
    "a_sample_in_base64": "form(httpx); print(base64.b64encode(CLIP))",
}
HONEST = {
    "another_text": "ask(); structlog.get_logger().info('asked', characters=len(TEXT))",
    "a_short_word": "ask('Hello.'); print('Hello.')",
    "an_error_without_its_words": """
    ask()
    try:
        raise ValueError(TEXT)
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("lib").exception("failed")""",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each test: `passed`, or why not."""
    folder = tmp_path_factory.mktemp("leaks")
    cases = {**LEAKS, **HONEST}
    tests = [f"def test_{name}():\n    {body.strip()}\n" for name, body in cases.items()]
    (folder / "test_leaks.py").write_text("\n".join([HEAD, *tests]), "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = (sys.executable, "-m", "pytest", "-p", "tests.support.redaction", "-rA", "-q")
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    erred = set(re.findall(r"^ERROR test_leaks\.py::test_(\w+)", done.stdout, re.MULTILINE))
    passed = set(re.findall(r"^PASSED test_leaks\.py::test_(\w+)", done.stdout, re.MULTILINE))
    assert passed == set(cases), done.stdout + done.stderr
    return {name: "told" if name in erred else "kept" for name in cases}


@pytest.mark.parametrize("name", LEAKS)
def test_a_test_that_tells_it_is_an_error(name: str, found: dict[str, str]) -> None:
    assert found[name] == "told"


@pytest.mark.parametrize("name", HONEST)
def test_a_test_that_keeps_it_is_none(name: str, found: dict[str, str]) -> None:
    assert found[name] == "kept"


def test_this_very_run_is_watched(request: pytest.FixtureRequest) -> None:
    assert request.config.pluginmanager.has_plugin("redaction")
