"""The application with keys: an admin, a caller, and a provider that speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient

from router.app.server import create_app
from router.registry import Kinds
from router.settings.load import parse
from router.testing.script import Script, Tone
from router.testing.scripted import Scripted, kind_of

ADMIN = "the-admins-own-key-0123"
KEY = "sk-of-a-caller-0123456789"
AS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}
AS_CALLER = {"Authorization": f"Bearer {KEY}"}
SPEECH = {"model": "it", "input": "Hello there.", "voice": "alloy", "response_format": "pcm"}
ACCOUNTS = {"admin_key": ADMIN, "keys": {"caller": {"key": KEY, "credits": 2}}}


def application(folder: Path, accounts: Mapping[str, Any] | None = None, **server: Any) -> Litestar:
    """The application with these accounts."""
    voice = Scripted(Script(speaking=(Tone(0.5),)))
    kinds = Kinds({"voice": kind_of("voice", voice)}, {}, {})
    price = {"credits_per_1k_chars": 1.0}
    config = {
        "server": {
            "data_dir": str(folder / "data"),
            "cache_dir": str(folder / "cache"),
            **server,
        },
        "accounts": ACCOUNTS if accounts is None else accounts,
        "integrity": {"judges": False},  # tones are no speech
        "providers": {"voice": {"kind": "voice"}},
        "models": {"it": {"routes": [{"provider": "voice"}], "price": price}},
    }
    return create_app(parse(json.dumps(config), kinds.providers), kinds)


@contextmanager
def keyed(
    folder: Path, accounts: Mapping[str, Any] | None = None, **server: Any
) -> Iterator[TestClient[Litestar]]:
    """A client of it."""
    app = application(folder, accounts, **server)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def said(client: TestClient[Litestar], key: str, **fields: Any) -> Any:
    """The answer to a request for speech with this key."""
    headers = {"Authorization": f"Bearer {key}"}
    return client.post("/v1/audio/speech", json={**SPEECH, **fields}, headers=headers)
