"""What is on offer, under every spelling that clients probe, without a key."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import pytest

from tests.api.served import Served, envelope, served

MODELS = (
    *("/v1/models", "/models", "/v1/v1/models", "/api/v1/models", "/v1/audio/models"),
    *("/audio/models", "/api/v1/audio-models", "/v1/models/", "/v1//models"),
)
VOICES = (
    *("/v1/voices", "/v1/audio/voices", "/audio/voices", "/voices", "/api/v1/voices"),
    *("/v1/v1/audio/voices", "/v1/voices/"),
)


@pytest.mark.parametrize("path", MODELS)
def test_the_models_are_one_list_under_every_spelling(api: Served, path: str) -> None:
    answer = api.client.get(path, follow_redirects=False)
    assert answer.status_code == 200
    body = answer.json()
    assert body["object"] == "list"
    assert body["data"] == body["models"]
    by_id = {model["id"]: model for model in body["data"]}
    assert next(iter(by_id)) == "moss-tts-nano"
    nano = by_id["moss-tts-nano"]
    assert (nano["object"], nano["max_input"], nano["default_format"]) == ("model", 4096, "wav")
    assert {"wav", "pcm", "pcm16", "mp3"} <= set(nano["formats"])
    assert nano["cloning"] is nano["available"] is True
    assert by_id["tts-1"]["default_format"] == "mp3"
    assert set(nano["pricing"]) == {"per_1k_chars", "currency"}


@pytest.mark.parametrize("path", VOICES)
def test_the_voices_are_one_list_under_every_spelling(api: Served, path: str) -> None:
    body = api.client.get(path, follow_redirects=False).json()
    assert body["data"] == body["voices"]
    by_id = {voice["id"]: voice for voice in body["data"]}
    assert by_id["nova"]["languages"] == ["zh"]
    assert by_id["alloy"]["gender"] == "female"
    assert by_id["alloy"]["sample_url"].endswith("/v1/voices/alloy/sample")
    assert len(by_id) == 64


@pytest.mark.parametrize("id", ["moss-tts-nano", "MOSS-TTS-nano", "org/tts-2", "org%2Ftts-2"])
def test_one_model_is_described_also_when_its_id_has_a_slash(api: Served, id: str) -> None:
    answer = api.client.get(f"/v1/models/{id}")
    assert answer.status_code == 200
    assert answer.json()["id"] == id.lower().replace("%2f", "/")


@pytest.mark.parametrize("id", ["nobody", "a/b/c", "%00", "%ff%fe", "..%2f..", "é" * 300])
def test_an_unknown_model_is_not_found(api: Served, id: str) -> None:
    error = envelope(api.client.get(f"/v1/models/{id}"), 404)
    assert error["code"] == "model_not_found"


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/audio/speech", "/audio/speech", "/v1/v1/audio/speech", "/api/v1/audio/speech"),
        *("/v1/audio/speech/", "/v1/speech", "/speech", "/v1/v1/speech", "/api/v1/speech"),
        *("/v1/speech/", "//v1//audio/speech"),
    ],
)
def test_a_base_url_may_have_v1_or_not_and_is_never_redirected(api: Served, path: str) -> None:
    body = {"model": "tts-1", "input": "Hello.", "voice": "alloy"}
    answer = api.client.post(path, json=body, follow_redirects=False)
    assert answer.status_code == 200


def test_a_sample_of_a_voice_is_spoken_once_and_kept(api: Served) -> None:
    first = api.client.get("/v1/voices/ja-news/sample")
    assert first.headers["content-type"] == "audio/wav"
    assert "max-age" in first.headers["cache-control"]
    with wave.open(io.BytesIO(first.content)) as file:
        assert file.getnframes() == 2_400
    assert api.order.language == "ja"
    again = api.client.get("/v1/voices/%20JA-news/sample")
    same = again.content == first.content
    assert same
    assert len(api.able.orders) == 1
    assert [(r.outcome, r.status) for r in api.records] == [("spoken", 200)] * 2
    envelope(api.client.get("/v1/voices/nobody/sample"), 400)
    assert len(api.records) == 3


def test_every_voice_has_a_sample_under_the_url_that_it_names(api: Served) -> None:
    for voice in api.client.get("/v1/voices").json()["data"][::9]:
        assert api.client.get(voice["sample_url"]).status_code == 200, voice["id"]
    assert api.client.get("/v1/voices/%C3%B8rsted/sample").status_code == 200


def test_a_public_url_stands_before_every_sample(tmp_path: Path) -> None:
    with served(tmp_path, {"public_url": "https://speech.example/"}) as api:
        voice = api.client.get("/v1/voices").json()["data"][0]
        assert voice["sample_url"].startswith("https://speech.example/v1/voices/")


def test_health_is_never_a_bare_ok(api: Served) -> None:
    assert api.client.get("/health/live").json() == {"status": "live"}
    ready = api.client.get("/health/ready").json()
    assert ready["status"] == "ready"
    able = ready["providers"]["able"]
    assert (able["state"], able["kind"], able["reason"]) == ("on", "able", None)
    assert set(able) - {"state", "kind", "reason"} == {"slots", "breakers", "inside"}
    assert ready["models"]["moss-tts-nano"] == {"ready": True, "speaks": ["able"]}


def test_a_plan_is_explained_for_a_body_of_any_shape(api: Served) -> None:
    shapes = (
        ({"input": "Hello."}, "leaper"),
        ({"model": "tts-1", "input": "Hello.", "voice": "alloy"}, "openai"),
        ({"model": "tts-1", "input": "Hello.", "voice": "alloy", "format": "wav"}, "nanogpt"),
    )
    for body, shape in shapes:
        told = api.client.post("/v1/route/explain", json=body).json()
        assert told["shape"] == shape
        assert [one["provider"] for one in told["candidates"]] == ["able"]
        assert told["passed_over"] == []
        assert told["refusal"] is None
    assert not api.able.orders
    assert not api.records, "nothing was spoken"


def test_a_plan_without_candidates_says_why(api: Served) -> None:
    files = {"prompt_audio": ("x", b"RIFF\0\0\0\0WAVE")}
    answer = api.client.post(
        "/v1/route/explain", data={"input": "Hello.", "model": "choosy"}, files=files
    )
    told = answer.json()
    assert told["candidates"] == []
    assert told["passed_over"][0]["reason"] == "no_cloning"
    assert "clone" in told["refusal"]
    envelope(api.client.post("/v1/route/explain", json={"input": "", "voice": "x"}), 400)
