"""`/health/ready` tells who is left alone and why, and how much is in use; no secret is in it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from router.app.server import create_app
from router.contract.errors import BadKey, Busy
from router.dispatch.house import House
from router.dispatch.speaker import Speaker
from router.registry import Kinds
from router.settings.load import parse
from router.testing.script import Raise, Script
from router.testing.scripted import Scripted, kind_of

READY = "/health/ready"
SPEECH = "/v1/audio/speech"
MARKER = "kept-to-ourselves-4711"
CLOSED = {"state": "closed", "reason": "", "wait_s": 0.0}


class Seen:
    """A client of a server with two providers, and a model for each."""

    def __init__(self, speaker: Speaker, house: House, client: TestClient[Litestar]) -> None:
        self.speaker = speaker
        self.house = house
        self.client = client

    def ready(self, status: int) -> dict[str, Any]:
        answer = self.client.get(READY)
        assert answer.status_code == status
        assert MARKER not in answer.text
        found: dict[str, Any] = answer.json()
        return found

    def asks(self, model: str) -> Response:
        return self.client.post(SPEECH, json={"model": model, "input": "Hi.", "voice": "alloy"})


@contextmanager
def served(folder: Path, **voices: Scripted) -> Iterator[Seen]:
    kinds = Kinds({name: kind_of(name, voice) for name, voice in voices.items()}, {}, {})
    config = {
        "server": {
            "data_dir": str(folder / "data"),
            "cache_dir": str(folder / "cache"),
            "places": 5,
        },
        "integrity": {"judges": False},  # tones are no speech
        "providers": {name: {"kind": name} for name in voices},
        "models": {name: {"routes": [{"provider": name}]} for name in voices},
    }
    speakers: list[Speaker] = []
    house = House()
    settings = parse(json.dumps(config), kinds.providers)
    app = create_app(settings, kinds, started=speakers.append, house=house)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield Seen(speakers[0], house, client)


def failing(error: Exception) -> Scripted:
    return Scripted(Script(entering=(Raise(error),)))


def test_all_is_free_and_nobody_left_alone_before_anybody_has_spoken(tmp_path: Path) -> None:
    with served(tmp_path, one=Scripted()) as seen:
        found = seen.ready(200)

    assert found["places"] == {"size": 5, "in_use": 0, "waiting": 0}
    assert found["providers"]["one"]["slots"] == {"size": 16, "in_use": 0, "waiting": 0}
    assert found["providers"]["one"]["breakers"] == {}
    assert (found["config"]["refused"], found["config"]["restart"]) == (None, [])


def test_a_config_has_the_time_at_which_it_was_loaded(tmp_path: Path) -> None:
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    with served(tmp_path, one=Scripted()) as seen:
        loaded = dt.datetime.fromisoformat(seen.ready(200)["config"]["loaded"])

    assert before <= loaded <= dt.datetime.now(dt.UTC)


def test_a_breaker_tells_its_state_its_reason_and_its_wait(tmp_path: Path) -> None:
    busy = failing(Busy(MARKER, retry_after=30))
    with served(tmp_path, one=Scripted(), busy=busy) as seen:
        assert seen.asks("one").status_code == 200
        assert seen.asks("busy").status_code == 503
        found = seen.ready(200)["providers"]

    assert found["one"]["breakers"] == {"tone-1": CLOSED}
    opened = found["busy"]["breakers"]["tone-1"]
    assert (opened["state"], opened["reason"]) == ("open", "busy")
    assert 20 < opened["wait_s"] <= 30


def test_a_model_whose_providers_are_all_left_alone_cannot_speak_now(tmp_path: Path) -> None:
    """While another model can, the server is ready; then no more."""
    one, other = failing(BadKey(MARKER)), failing(BadKey(MARKER))
    with served(tmp_path, one=one, other=other) as seen:
        seen.asks("one")
        some = seen.ready(200)
        seen.asks("other")
        none = seen.ready(503)

    assert some["reasons"] == ["nobody can speak for one"]
    assert some["models"] == {
        "one": {"ready": False, "speaks": []},
        "other": {"ready": True, "speaks": ["other"]},
    }
    assert some["providers"]["one"]["state"] == "on"
    assert none["status"] == "not ready"


def test_whoever_may_be_tried_again_counts_as_able(tmp_path: Path) -> None:
    with served(tmp_path, one=Scripted()) as seen:
        breaker = seen.speaker.asker.outlook.breaker(("one", "tone-1"))
        breaker.rests(0.0, 0.001, "busy")  # the clock's beginning: long ago
        found = seen.ready(200)

    assert found["providers"]["one"]["breakers"]["tone-1"]["state"] == "half_open"
    assert found["models"]["one"]["ready"]


def test_a_house_that_closes_lets_no_speech_in_and_answers_the_rest(tmp_path: Path) -> None:
    voice = Scripted()
    with served(tmp_path, one=voice) as seen:
        seen.house.close()

        for refused in (seen.asks("one"), seen.client.get("/v1/voices/alloy/sample")):
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
            assert int(refused.headers["retry-after"]) >= 1
        assert seen.client.get("/v1/models").status_code == 200
        assert "the server is going down" in seen.ready(503)["reasons"]
        assert voice.entered == 0
