"""Voices of one's own, asked for by name in every shape, and shown to their owner alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from httpx import Response

from tests.api.served import envelope
from tests.api.voiced import ACCOUNTS, ANNA, BERT, CONSENT, PATH, Voiced, voiced, wav


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


def alike(one: bytes, other: bytes) -> bool:
    """Equal but for the last bit: frames may be decoded in other groups."""
    first, second = (np.frombuffer(sound, dtype="<i2").astype(int) for sound in (one, other))
    return len(first) == len(second) and int(np.abs(first - second).max()) <= 2


def _saved(told: Response) -> list[str]:
    return [one["id"] for one in told.json()["data"] if one["object"] == "audio.voice"]


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/api/v1/audio/speech", "/v1/speech"])
def test_a_saved_voice_is_asked_for_by_its_name_in_every_shape(api: Voiced, path: str) -> None:
    id = api.saves("Anna").json()["id"]
    by_name = api.speaks(" aNNa ", path=path)
    assert by_name.status_code == 200, by_name.text
    assert (by_name.headers["x-tts-provider"], by_name.headers["x-tts-voice"]) == ("moss", id)
    assert alike(by_name.content, api.speaks(id, path=path).content)
    assert not alike(by_name.content, api.speaks("narrator", path=path).content)


def test_openais_object_and_leaperones_shape_take_it_too(api: Voiced) -> None:
    id = api.saves("Anna").json()["id"]
    assert api.speaks({"id": id}).headers["x-tts-voice"] == id
    leaper = api.client.post("/v1/audio/speech", json={"input": "Hello.", "voice": "anna"})
    assert (leaper.status_code, leaper.headers["x-tts-voice"]) == (200, id)


def test_it_is_there_at_once_and_gone_at_once(api: Voiced) -> None:
    for _ in range(3):
        id = api.saves("Anna").json()["id"]
        assert api.speaks("Anna").status_code == 200
        api.deletes(id)
        assert envelope(api.speaks("Anna"), 400)["code"] == "invalid_voice"


def test_a_mistaken_name_is_told_what_comes_near(api: Voiced) -> None:
    api.saves("Annabelle")
    assert "Annabelle" in envelope(api.speaks("anabelle"), 400)["message"]


@pytest.mark.parametrize("path", [PATH, "/v1/voices", "/audio/voices"])
def test_the_list_has_ones_own_beside_everybodys(api: Voiced, path: str) -> None:
    saved = api.saves("Anna").json()
    body = api.client.get(path).json()
    assert body["data"] == body["voices"]
    assert [one for one in body["data"] if one["object"] == "audio.voice"] == [saved]
    assert {"narrator", "alloy"} <= {one["id"] for one in body["data"]}


def test_each_caller_sees_and_hears_their_own(keyed: Voiced) -> None:
    ids = {
        key: keyed.saves("mine", clip=wav(seed=n), key=key).json()["id"]
        for n, key in enumerate((ANNA, BERT))
    }
    sounds = []
    for key, id in ids.items():
        told = keyed.client.get(PATH, headers={"X-API-Key": key})
        assert _saved(told) == [id]
        answer = keyed.speaks("mine", key)
        assert answer.headers["x-tts-voice"] == id
        sounds.append(answer.content)
    assert not alike(*sounds)
    for headers in ({}, {"X-API-Key": "sk-of-nobody"}):
        told = keyed.client.get(PATH, headers=headers)
        assert _saved(told) == []
        assert CONSENT not in told.text


def test_a_voices_sample_page_is_everybodys_and_knows_nobodys_own(api: Voiced) -> None:
    id = api.saves("Anna").json()["id"]
    for name in ("Anna", id):
        envelope(api.client.get(f"/v1/voices/{name}/sample"), 400)
