"""The OpenAI SDK for Node at every limit: how often it asks, and how long it sleeps.

The newest, and one that sleeps for whatever `Retry-After` says (6.26 to 7.3 do).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.limited import CASES, TEXT, config, key_of, text_of
from tests.support.process import ServerProcess, serving
from tests.support.scripts import SCRIPTED

NODE, NPM = shutil.which("node"), shutil.which("npm")
SDKS = {"newest": "openai@7", "sleepy": "openai@6.49.0"}
INSTALL_S = 150
CALL = """
const {default: OpenAI} = await import(process.argv[2]);
const [url, key, model, first, second] = process.argv.slice(3);
let requests = 0;
const counted = (...all) => { requests += 1; return fetch(...all); };
const client = new OpenAI({baseURL: url, apiKey: key, maxRetries: 2, fetch: counted});
const speak = (input) =>
  client.audio.speech.create({model, input, voice: 'alloy', response_format: 'pcm'});
const heard = (await (await speak(first)).arrayBuffer()).byteLength;
requests = 0;
const began = performance.now();
let status = 200, code = null;
try { await (await speak(second)).arrayBuffer(); }
catch (error) { status = error.status; code = error.code; }
const took_s = (performance.now() - began) / 1000;
console.log(JSON.stringify({heard, status, code, requests, took_s}));
"""
pytestmark = pytest.mark.timeout(INSTALL_S + 30)


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, from wherever npm is set up to look."""
    if NODE is None or NPM is None:
        pytest.skip("there is no node with npm on this machine")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    (folder / "call.js").write_text(CALL)
    wanted = [f"{name}@npm:{package}" for name, package in SDKS.items()]
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    try:
        done = subprocess.run(
            [NPM, "install", *quiet, *wanted],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_S,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm cannot reach its registry in time")
    if done.returncode != 0:
        pytest.skip("npm cannot install the SDK: is there a network?")
    return folder


@pytest.fixture(scope="module", params=SDKS)
def limited(
    request: pytest.FixtureRequest, sdks: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, str]]:
    """A server for each SDK, since a day's cap is used up once."""
    with serving(config(), tmp_path_factory.mktemp("limited"), plugins=[SCRIPTED]) as server:
        yield server, request.param


@pytest.mark.parametrize("name", CASES)
def test_the_sdk_sends_and_sleeps_as_it_is_told(
    name: str, limited: tuple[ServerProcess, str], sdks: Path
) -> None:
    case, (server, sdk) = CASES[name], limited
    found = _called(sdks, sdk, f"{server.url}/v1", key_of(name), case.model, TEXT, text_of(name))

    assert found["heard"] > 0
    assert (found["status"], found["code"]) == (case.status, case.code)
    assert found["requests"] == case.requests
    assert case.slept_s[0] <= found["took_s"] <= case.slept_s[1]


def _called(folder: Path, *words: str) -> dict[str, Any]:
    assert NODE is not None
    done = subprocess.run(
        [NODE, "call.js", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
