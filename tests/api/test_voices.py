"""Voices of one's own over HTTP: saved from a sample, seen and deleted by their owner alone."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from router.api.voice_form import FORM_BYTES, SAMPLE_BYTES
from tests.api.served import Served, envelope
from tests.api.voiced import (
    ACCOUNTS,
    ANNA,
    BERT,
    CLIP,
    CONSENT,
    OTHER,
    PATH,
    Voiced,
    voiced,
    wav,
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voiced]:
    with voiced(tmp_path_factory.mktemp("voiced")) as found:
        yield found


@pytest.fixture
def api(running: Voiced) -> Voiced:
    """A server without keys, on which nothing is saved yet."""
    running.empty()
    return running


@pytest.fixture(scope="module")
def running_keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voiced]:
    with voiced(tmp_path_factory.mktemp("keyed"), ACCOUNTS) as found:
        yield found


@pytest.fixture
def keyed(running_keyed: Voiced) -> Voiced:
    """A server with keys, on which nothing is saved yet."""
    running_keyed.empty(ANNA, BERT)
    return running_keyed


# ---- saving


def test_a_voice_is_saved_and_told_in_openais_words(api: Voiced) -> None:
    answer = api.saves()
    assert answer.status_code == 200, answer.text
    saved = answer.json()
    assert saved["object"] == "audio.voice"
    assert (saved["type"], saved["name"], saved["consent"]) == ("audio_sample", "Anna", CONSENT)
    assert saved["id"].startswith("voice_")
    assert abs(saved["created_at"] - time.time()) < 60
    assert saved["owner"] == "local"
    assert saved["sample_sha256"] == hashlib.sha256(CLIP).hexdigest()


def test_codes_are_stored_and_the_sample_is_not(api: Voiced) -> None:
    saved = api.saves().json()
    (file,) = api.files
    kept = json.loads(file.read_bytes())
    assert file.stem == saved["id"]
    assert kept["codes"]
    assert kept["voice"]["consent"] == CONSENT
    assert CLIP[100:140] not in file.read_bytes()
    assert "codes" not in saved


@pytest.mark.parametrize("path", ["/audio/voices", "/v1/v1/audio/voices", "/api/v1/audio/voices"])
def test_every_spelling_of_the_path_saves(api: Voiced, path: str) -> None:
    sent: dict[str, Any] = {
        "data": {"name": "Anna", "consent": CONSENT, "type": "audio_sample"},
        "files": {"audio_sample": ("me.wav", CLIP)},
    }
    saved = api.client.post(path, **sent)
    assert saved.status_code == 200, saved.text
    assert api.client.delete(f"{path}/{saved.json()['id']}").status_code == 200


@pytest.mark.parametrize(
    ("changed", "param", "code"),
    [
        ({"name": None}, "name", "missing_required_parameter"),
        ({"name": "  "}, "name", "missing_required_parameter"),
        ({"name": "../../etc/passwd"}, "name", "invalid_parameter_value"),
        ({"name": "x" * 65}, "name", "invalid_parameter_value"),
        ({"name": "voice_1"}, "name", "invalid_parameter_value"),
        ({"name": "NARRATOR"}, "name", "invalid_parameter_value"),
        ({"name": "ava"}, "name", "invalid_parameter_value"),
        ({"consent": None}, "consent", "missing_required_parameter"),
        ({"consent": " "}, "consent", "missing_required_parameter"),
        ({"consent": "x" * 2_001}, "consent", "invalid_parameter_value"),
        ({"clip": None}, "audio_sample", "missing_required_parameter"),
        ({"clip": b""}, "audio_sample", "missing_required_parameter"),
        ({"clip": b"<html>no sound</html>"}, "audio_sample", "invalid_audio_sample"),
        ({"clip": CLIP[:60]}, "audio_sample", "invalid_audio_sample"),
        ({"clip": wav(0.5)}, "audio_sample", "invalid_audio_sample"),
        ({"clip": CLIP[:44] + bytes(200_000)}, "audio_sample", "invalid_audio_sample"),
        ({"clip": CLIP + bytes(SAMPLE_BYTES)}, "audio_sample", "audio_sample_too_large"),
        ({"type": "prompt"}, "type", "invalid_parameter_value"),
    ],
    ids=range(18),
)
def test_a_field_that_is_wrong_is_named_and_nothing_is_saved(
    api: Voiced, changed: dict[str, Any], param: str, code: str
) -> None:
    error = envelope(api.saves(**changed), 400)
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"
    assert not api.files


def test_a_name_is_ones_own_once(api: Voiced) -> None:
    assert api.saves("Anna").status_code == 200
    error = envelope(api.saves("aNNa"), 400)
    assert error["param"] == "name"
    assert len(api.files) == 1


def test_a_file_of_another_name_is_told_the_right_one(api: Voiced) -> None:
    fields = {"name": "Anna", "consent": CONSENT}
    answer = api.client.post(PATH, data=fields, files={"prompt_audio": ("me.wav", CLIP)})
    error = envelope(answer, 400)
    assert (error["param"], error["code"]) == ("prompt_audio", "invalid_audio_sample")
    assert "audio_sample" in error["message"]


def test_what_is_no_form_is_refused(api: Voiced) -> None:
    envelope(api.client.post(PATH, json={"name": "Anna"}), 415)
    envelope(api.client.post(PATH, content=b"x", headers={"content-type": "text/plain"}), 415)
    broken = {"content-type": "multipart/form-data; boundary=b"}
    for body in (b"", b"--b", b"--b\r\n\r\n", b"x" * 100, b"--b\r\n" + b"A: b\r\n" * 5_000):
        envelope(api.client.post(PATH, content=body, headers=broken), 400)
    part = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n'
    for text, status in ((b"\xff\xfe", 400), (b"x" * 20_000, 413)):
        body = part + text + b"\r\n--b--\r\n"
        envelope(api.client.post(PATH, content=body, headers=broken), status)
    assert not api.files


def test_a_body_without_end_is_refused(api: Voiced) -> None:
    envelope(api.saves(clip=CLIP + bytes(FORM_BYTES)), 413)
    assert not api.files


# ---- deleting


def test_a_voice_is_deleted_in_openais_words(api: Voiced) -> None:
    id = api.saves().json()["id"]
    answer = api.deletes(id)
    assert answer.status_code == 200
    assert answer.json() == {"id": id, "object": "audio.voice.deleted", "deleted": True}
    assert not api.files
    error = envelope(api.deletes(id), 404)
    assert (error["param"], error["code"]) == ("voice_id", "not_found")
    assert envelope(api.speaks(id), 400)["code"] == "invalid_voice"


@pytest.mark.parametrize(
    "id", ["x", "voice_", "voice_../x", "%2e%2e%2fsecret", "Anna", "v" * 9_000]
)
def test_what_is_not_there_cannot_be_deleted(api: Voiced, id: str) -> None:
    api.saves()
    envelope(api.deletes(id), 404)
    assert len(api.files) == 1


# ---- whose they are


def test_a_voice_is_its_owners_alone(keyed: Voiced) -> None:
    saved = keyed.saves("Anna", key=ANNA).json()
    assert saved["owner"] == "config:anna"
    for name in ("Anna", saved["id"]):
        error = envelope(keyed.speaks(name, BERT), 400)
        assert (error["param"], error["code"]) == ("voice", "invalid_voice")
        assert "nna" not in error["message"].removeprefix(f"There is no voice '{name}'.")
    envelope(keyed.deletes(saved["id"], BERT), 404)
    assert len(keyed.files) == 1
    listed = [keyed.client.get(PATH), keyed.client.get(PATH, headers={"X-API-Key": BERT})]
    for answer in listed:
        assert answer.status_code == 200
        assert saved["id"] not in answer.text
        assert CONSENT not in answer.text
    assert keyed.deletes(saved["id"], ANNA).status_code == 200


def test_two_callers_may_have_one_name(keyed: Voiced) -> None:
    ids = {keyed.saves("mine", key=key).json()["id"] for key in (ANNA, BERT)}
    assert len(ids) == 2
    assert keyed.saves("mine", key=BERT).status_code == 400


def test_saving_and_deleting_need_a_key(keyed: Voiced) -> None:
    for key in ("", "sk-of-nobody"):
        assert keyed.saves(key=key).status_code == 401
        assert keyed.deletes("voice_x", key).status_code == 401
    assert not keyed.files


def test_who_may_not_use_the_provider_cannot_have_a_voice_kept_there(keyed: Voiced) -> None:
    error = envelope(keyed.saves(key=OTHER), 503)
    assert error["code"] == "no_provider"
    assert not keyed.files


def test_where_nobody_keeps_voices_none_is_saved(running: Voiced, tmp_path: Path) -> None:
    from tests.api.served import served  # noqa: PLC0415  # of this test alone

    with served(tmp_path) as other:
        found: Served = other
        answer = found.client.post(
            PATH,
            data={"name": "Anna", "consent": CONSENT},
            files={"audio_sample": ("me.wav", CLIP)},
        )
        assert envelope(answer, 503)["code"] == "no_provider"
        assert found.client.delete(f"{PATH}/voice_x").status_code == 404


def test_nothing_of_a_voice_is_in_a_log(
    api: Voiced, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    id = api.saves("Annabelle").json()["id"]
    api.deletes(id)
    told = f"{caplog.text}{capfd.readouterr()}"
    for hidden in ("Annabelle", CONSENT, hashlib.sha256(CLIP).hexdigest()):
        assert hidden not in told


# ---- what is written of it


def test_the_document_tells_the_form_and_the_answers(api: Voiced) -> None:
    document = api.client.get("/schema/openapi.json").json()
    operation = document["paths"][PATH]["post"]
    schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    Draft202012Validator.check_schema(schema)
    assert sorted(schema["required"]) == ["audio_sample", "consent", "name"]
    assert schema["properties"]["audio_sample"]["format"] == "binary"
    assert "AudioVoice" in str(operation["responses"]["200"])
    assert "Envelope" in str(operation["responses"]["default"])
    assert "200" in document["paths"][f"{PATH}/{{voice_id}}"]["delete"]["responses"]
    page = api.client.get("/schema").text
    assert "Save a voice" in page
    assert "audio_sample" in page
