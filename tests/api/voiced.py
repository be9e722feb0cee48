"""The application over the local engine with a small model, which keeps voices."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from httpx import Response
from litestar.testing import TestClient

from providers.moss_tts_nano import KIND
from router.app.server import create_app
from router.registry import Kinds
from router.settings.load import parse
from router.testing.script import Script, Tone
from router.testing.scripted import Scripted, kind_of
from tests.providers.moss.opening import voice_sample
from tests.support.tiny_moss import write

PATH = "/v1/audio/voices"
CONSENT = "Anna agrees that her voice is used for tests."
ANNA, BERT = "sk-of-anna-0123456789", "sk-of-bert-0123456789"
OTHER = "sk-of-who-may-not-0123456789"
ACCOUNTS = {
    "keys": {
        "anna": {"key": ANNA},
        "bert": {"key": BERT},
        "other": {"key": OTHER, "providers": ["plain"]},
    }
}
MODELS = {
    "moss-tts-nano": {"family": "leaper", "routes": [{"provider": "moss"}]},
    "nano": {"same_as": "moss-tts-nano", "family": "nanogpt"},
    "tts-1": {"same_as": "moss-tts-nano", "family": "openai"},
}


def wav(seconds: float = 3.0, *, seed: int = 0) -> bytes:
    """A file of something like speech."""
    samples = (voice_sample(seconds, seed=seed)[0] * 32_767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writing:
        writing.setnchannels(1)
        writing.setsampwidth(2)
        writing.setframerate(48_000)
        writing.writeframes(np.ascontiguousarray(samples).tobytes())
    return file.getvalue()


CLIP = wav()


class Voiced:
    """A client of the application."""

    def __init__(self, client: TestClient[Any], folder: Path) -> None:
        self.client = client
        self.folder = folder
        """Where the voices are kept."""

    def saves(
        self, name: str | None = "Anna", *, clip: bytes | None = CLIP, key: str = "", **more: Any
    ) -> Response:
        fields = {"name": name, "consent": CONSENT, **more}
        files = {} if clip is None else {"audio_sample": ("me.wav", clip, "audio/wav")}
        return self.client.post(
            PATH,
            data={field: value for field, value in fields.items() if value is not None},
            files=files or {"nothing": (None, "")},
            headers=_headers(key),
        )

    def deletes(self, id: str, key: str = "") -> Response:
        return self.client.delete(f"{PATH}/{id}", headers=_headers(key))

    def speaks(self, voice: object, key: str = "", *, path: str = "/v1/audio/speech") -> Response:
        body = {"model": "tts-1", "input": "Hello there.", "voice": voice, "seed": 3}
        form = "format" if path == "/v1/speech" else "response_format"
        return self.client.post(path, json={**body, form: "pcm"}, headers=_headers(key))

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*")) if self.folder.exists() else []

    def empty(self, *keys: str) -> None:
        """Delete all voices of these callers."""
        for path in self.files:
            for key in keys or ("",):
                self.deletes(path.stem, key)


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


@contextmanager
def voiced(folder: Path, accounts: Mapping[str, Any] | None = None) -> Iterator[Voiced]:
    """The application, open and ready to speak."""
    plain = Scripted(Script(speaking=(Tone(0.1),)))
    kinds = Kinds({"moss-tts-nano": KIND, "plain": kind_of("plain", plain)}, {}, {})
    moss = {
        "kind": "moss-tts-nano",
        "directory": str(write(folder / "model")),
        "pull": "never",
        "graphs": "shipped",
        "spell_out": False,
        "guards": {"most_frames": 20},
        "tries": 1,  # a chunk of random weights may be made again, or not, as time allows
    }
    config = {
        "server": {"data_dir": str(folder / "data"), "cache_dir": str(folder / "cache")},
        "providers": {"moss": moss, "plain": {"kind": "plain"}},
        "models": MODELS,
        "integrity": {"judges": False},  # random weights are no speech
        "voices": {"narrator": {"languages": ["en"]}},
        **({"accounts": accounts} if accounts else {}),
    }
    app = create_app(parse(json.dumps(config), kinds.providers), kinds)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield Voiced(client, folder / "data" / "providers" / "moss" / "voices")
