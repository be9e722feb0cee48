"""The whole application in this process, with one provider that can do everything and one that
counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from router.app.server import create_app
from router.contract.audio import AudioFormat
from router.contract.record import Event, SpeechRecord
from router.contract.speech import Capabilities, SpeechOrder
from router.dispatch.speaker import Speaker
from router.registry import Kinds
from router.settings.load import parse
from router.testing.script import Script, Tone
from router.testing.scripted import Scripted, kind_of
from tests.support.scripts import NO_REST

SHARED, NEWER, NANO = "/v1/audio/speech", "/api/v1/audio/speech", "/v1/speech"
MARKER = "kept-to-ourselves-4711"
WAV_CLIP = b"RIFF\x24\0\0\0WAVEfmt " + bytes(40)
MP3 = (b"\xff\xfb\x90\x64" + bytes(413)) * 20
"""Silent frames of MPEG-1 layer 3 at 128 kbit/s and 44.1 kHz."""

PCM = AudioFormat("pcm")
ALL = Capabilities(
    formats=(PCM, AudioFormat("mp3")),
    chooses_voice=True,
    cloning=True,
    speed=(0.25, 4.0),
    pitch=(-100.0, 100.0),
    options=frozenset(
        {
            *("instructions", "emotion", "stability", "similarity"),
            *("seed", "temperature", "top_p", "extra"),
        }
    ),
)
MODELS = {
    "moss-tts-nano": {"family": "leaper", "routes": [{"provider": "able"}]},
    "nano-tts-1": {"same_as": "moss-tts-nano", "family": "nanogpt"},
    "tts-1": {"same_as": "moss-tts-nano", "family": "openai"},
    "org/tts-2": {"same_as": "moss-tts-nano", "family": "openai"},
    "plain": {"family": "leaper", "clone_fallback": "preset", "routes": [{"provider": "plain"}]},
    "choosy": {"family": "leaper", "routes": [{"provider": "plain"}]},
    "short": {"same_as": "moss-tts-nano", "family": "openai", "max_input": 10},
}


class Served:
    """A client of the application, and what its providers and its observers saw."""

    def __init__(self, app: Litestar, speaker: Speaker, able: Scripted, plain: Scripted) -> None:
        self.app = app
        self.speaker = speaker
        self.able = able
        self.plain = plain
        self.records: list[SpeechRecord] = []
        self.client: TestClient[Litestar]

    def recorded(self, record: SpeechRecord) -> None:
        self.records.append(record)

    def noticed(self, event: Event) -> None:
        """Attempts are in the records."""

    @property
    def order(self) -> SpeechOrder:
        """The last order that the able provider got."""
        return self.able.orders[-1]

    def post(self, path: str = SHARED, **sent: Any) -> Response:
        return self.client.post(path, **sent)

    def asks(self, path: str = SHARED, **fields: Any) -> Response:
        """A JSON body with the least that the path needs, and these fields; `...` leaves one
        out."""
        least: dict[str, Any] = {"model": "tts-1", "input": "Hello there.", "voice": "alloy"}
        if path == SHARED:
            least = {"input": "Hello there."}
        body = {**least, **fields}
        return self.post(path, json={k: v for k, v in body.items() if v is not ...})


def application(
    folder: Path, found: list[Speaker], server: Mapping[str, Any] | None = None
) -> tuple[Litestar, tuple[Scripted, Scripted]]:
    """The application with its two providers; its Speaker is put into `found` once it is open."""
    script = Script(speaking=(Tone(0.1),))
    able = Scripted(script, offers={"tone-1": ALL}, bodies={"mp3": MP3})
    plain = Scripted(script)
    kinds = Kinds({"able": kind_of("able", able), "plain": kind_of("plain", plain)}, {}, {})
    config = {
        "server": {
            "data_dir": str(folder / "data"),
            "cache_dir": str(folder / "cache"),
            **(server or {}),
        },
        "providers": {name: {"kind": name} for name in kinds.providers},
        "models": MODELS,
        "integrity": {"judges": False},  # tones are no speech
        "outlook": NO_REST,
        "voices": {"ørsted": {"languages": ["da"], "gender": "male"}},
    }
    settings = parse(json.dumps(config), kinds.providers)
    return create_app(settings, kinds, started=found.append), (able, plain)


@contextmanager
def served(folder: Path, server: Mapping[str, Any] | None = None) -> Iterator[Served]:
    """The application, open."""
    found: list[Speaker] = []
    app, players = application(folder, found, server)
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    with client:
        seen = Served(app, found[0], *players)
        seen.client = client
        found[0].observers.join(seen)
        yield seen


def envelope(answer: Response, status: int) -> dict[str, Any]:
    """The error of an answer, after a look at its whole form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(r"[\x21-\x7e]+", answer.headers["x-request-id"])
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert isinstance(error["message"], str)
    assert isinstance(error["type"], str)
    assert MARKER not in answer.text
    return error
