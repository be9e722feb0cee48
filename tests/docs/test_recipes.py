"""The recipes: they parse, they point at what is there, and what their clients ask is answered."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml

from router import registry
from router.api.body import BODY_BYTES
from router.settings.load import parse
from router.settings.structs import Settings, Timeouts
from tests.docs.pages import RECIPES, addresses, links
from tests.docs.routes import is_answered, is_base, routes
from tests.support.process import ServerProcess, as_shipped
from tests.support.sound import Sound, of_pcm, of_wav

recipes = sorted(path for path in RECIPES.iterdir() if path.is_file())
clients = [path for path in recipes if addresses(path) and path.suffix != ".conf"]
TEXT = "The kitchen light is on."


def read(name: str) -> Any:
    return yaml.safe_load((RECIPES / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def settings() -> Settings:
    return parse(yaml.safe_dump(as_shipped()), registry.find().providers)


def test_every_recipe_is_listed() -> None:
    page = RECIPES / "README.md"

    listed = {(RECIPES / target).resolve() for target in links(page)}
    assert listed == {path.resolve() for path in recipes} - {page.resolve()}
    others = [target for path in recipes for target in links(path)]
    assert [target for target in others if not (RECIPES / target).exists()] == []


@pytest.mark.parametrize("recipe", clients, ids=lambda path: path.name)
def test_addresses_of_clients_are_answered(recipe: Path) -> None:
    for path in addresses(recipe):
        assert is_answered(path) or is_base(path) or path == "", path


def test_six_clients_have_an_address() -> None:
    assert len(clients) == 6


@pytest.mark.parametrize("name", ["behind-nginx.yaml", "other-machines.yaml"])
def test_parts_of_a_config_are_configs(name: str) -> None:
    parse((RECIPES / name).read_text("utf-8"), registry.find().providers)


def test_open_webui_hears_what_it_asks_for(server: ServerProcess) -> None:
    env = read("open-webui.compose.yaml")["services"]["open-webui"]["environment"]
    base = _at(server, env["AUDIO_TTS_OPENAI_API_BASE_URL"])
    body = {"input": TEXT, "voice": env["AUDIO_TTS_VOICE"], "model": env["AUDIO_TTS_MODEL"]}

    answer = _post(f"{base}/audio/speech", body | json.loads(env["AUDIO_TTS_OPENAI_PARAMS"]))

    assert answer.headers["content-type"] == "audio/mpeg"
    assert len(answer.content) > 4_000
    for listing in ("models", "voices"):
        found = httpx.get(f"{base}/audio/{listing}", trust_env=False).json()[listing]
        assert all(item["id"] and item["name"] for item in found)


def test_sillytavern_hears_what_it_asks_for(server: ServerProcess, settings: Settings) -> None:
    rows = _table(RECIPES / "sillytavern.md")
    voices = rows["Available Voices"].split(",")
    body = {"input": TEXT, "model": rows["Model"], "voice": voices[0], "speed": 0.25}

    answer = _post(_at(server, rows["Provider Endpoint"]), body | {"response_format": "mp3"})

    assert answer.headers["content-type"] == "audio/mpeg"
    assert set(voices) <= set(settings.voices)


def test_home_assistant_can_be_set_up(server: ServerProcess) -> None:
    rows = _table(RECIPES / "home-assistant.md")
    probe = {"model": "tts-1", "input": ".", "voice": "alloy", "response_format": "mp3"}

    assert _post(_at(server, rows["API Endpoint"]), probe).content
    assert _post(_at(server, rows["API Endpoint"]), probe | {"input": TEXT}).content


def test_the_wyoming_bridge_reads_the_header_of_a_wav(
    server: ServerProcess, settings: Settings
) -> None:
    env = read("home-assistant.compose.yaml")["services"]["wyoming_openai"]["environment"]
    voices = env["TTS_VOICES"].split()
    body = {"model": env["TTS_MODELS"], "input": TEXT, "voice": voices[0], "speed": 1.0}

    answer = _post(
        f"{_at(server, env['TTS_OPENAI_URL'])}/audio/speech", body | {"response_format": "wav"}
    )

    _assert_spoken(of_wav(answer.content))
    assert set(voices) <= set(settings.voices)


def test_librechat_hears_what_it_asks_for(server: ServerProcess, settings: Settings) -> None:
    openai = read("librechat.yaml")["speech"]["tts"]["openai"]
    body = {"model": openai["model"], "input": TEXT, "voice": openai["voices"][0]}

    answer = _post(_at(server, openai["url"]), body | {"backend": ""})

    assert answer.headers["content-type"] == "audio/mpeg"
    assert set(openai["voices"]) <= set(settings.voices)


def test_pipecat_hears_24_khz_mono(server: ServerProcess) -> None:
    given = _call(RECIPES / "pipecat.py", "OpenAITTSService")
    asked = _call(RECIPES / "pipecat.py", "Settings")
    assert given["api_key"]  # the SDK refuses an empty one

    answer = _post(
        f"{_at(server, given['base_url'])}/audio/speech",
        {"input": TEXT, "response_format": "pcm", **asked},
    )

    _assert_spoken(of_pcm(answer.content, 24_000, 1))


def test_nginx_lets_through_what_the_router_takes() -> None:
    text = re.sub(r"\s+#.*|'[^']*'", "", (RECIPES / "nginx.conf").read_text("utf-8"))
    said = dict(re.findall(r"^ *(\w+) +([^\n{]+);$", text, re.MULTILINE))

    assert text.count("{") == text.count("}")
    assert said["proxy_buffering"] == "off"
    assert int(said["client_max_body_size"].removesuffix("m")) * 2**20 >= BODY_BYTES
    assert int(said["proxy_read_timeout"].removesuffix("s")) > Timeouts().clone_first_audio_s
    for prefix in re.findall(r"location (\S+)", text):
        assert any(route.startswith(prefix) for route in routes())
    server = read("behind-nginx.yaml")["server"]
    assert f"server_name {httpx.URL(server['public_url']).host};" in text


def _at(server: ServerProcess, url: str) -> str:
    """The same place on the server of this test."""
    return server.url + httpx.URL(url).path


def _post(url: str, body: dict[str, Any]) -> httpx.Response:
    answer = httpx.post(url, json=body, headers={"Authorization": "Bearer none"}, trust_env=False)
    return answer.raise_for_status()


def _table(page: Path) -> dict[str, str]:
    """The settings of a table, each without its backticks and its remark."""
    rows = re.findall(
        r"^\| ([^|]+?) \| `?([^|`]+)`?[^|]*\|$", page.read_text("utf-8"), re.MULTILINE
    )
    return {name: value.strip() for name, value in rows}


def _call(module: Path, name: str) -> dict[str, str]:
    """The literal arguments of a call in a module."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(name):
            return {
                cast("str", word.arg): word.value.value
                for word in node.keywords
                if isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
            }
    raise AssertionError(f"{module.name} does not call {name}")


def _assert_spoken(sound: Sound) -> None:
    assert sound.is_audible
    assert sound.could_say(TEXT)
