"""The application in this loop, and what its metrics tell."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from litestar.types import ASGIApp
from prometheus_client.parser import text_string_to_metric_families

from router.app.server import create_app
from router.dispatch.house import House
from router.dispatch.reloading import Reloads
from router.dispatch.speaker import Speaker
from router.registry import Kinds
from router.settings.load import parse
from router.settings.structs import Settings
from router.testing.scripted import Scripted, kind_of
from tests.support.scripts import SPEECH, UNJUDGED, asking

Series = Mapping[str, float]
"""Values by `name{label="value",…}`, the labels in the order of the alphabet."""


def series(text: str) -> dict[str, float]:
    """What an exposition says."""
    return {
        _named(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _named(name: str, labels: Mapping[str, str]) -> str:
    told = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{told}}}" if told else name


def counted(before: Series, after: Series) -> dict[str, float]:
    """What has been counted meanwhile: counters, and the numbers of observations."""
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return {
        name: round(more, 6)
        for name, more in grown.items()
        if more
        and name.partition("{")[0].endswith(("_total", "_count"))
        and name.startswith("tts_")
        and not name.startswith("tts_event_loop")
    }


class Telling:
    """A client of the application, and the application's own parts."""

    def __init__(self, client: httpx.AsyncClient, speaker: Speaker, reloads: Reloads) -> None:
        self.client = client
        self.speaker = speaker
        self.reloads = reloads

    async def asks(self, model: str = "it", **fields: Any) -> httpx.Response:
        return await self.client.post(SPEECH, json=asking(model, **fields))

    async def metrics(self) -> dict[str, float]:
        answer = await self.client.get("/metrics")
        assert answer.status_code == 200, answer.text
        return series(answer.text)


@asynccontextmanager
async def telling(
    folder: Path,
    config: Mapping[str, Any] | None = None,
    *,
    reread: Callable[[Kinds], Settings] | None = None,
    **voices: Scripted,
) -> AsyncIterator[Telling]:
    """Each voice is a provider; `it` is a model of all of them, unless the config says otherwise.
    `reread` gives the config of a reload."""
    kinds = Kinds({name: kind_of(name, voice) for name, voice in voices.items()}, {}, {})
    settings = configured(folder, kinds, config or {})
    reloads = Reloads(settings, lambda: reread(kinds) if reread is not None else settings)
    speakers: list[Speaker] = []
    app = create_app(settings, kinds, started=speakers.append, house=House(), reloads=reloads)

    transport = httpx.ASGITransport(_as_a_server(app), client=("127.0.0.1", 1))
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield Telling(client, speakers[0], reloads)


def _as_a_server(app: ASGIApp) -> Any:
    """The application as a server calls it; the end of a body that breaks off is ours."""

    async def call(scope: dict[str, Any], receive: Any, send: Any) -> None:
        is_open = False

        async def sent(message: Any) -> None:
            nonlocal is_open
            is_open = message["type"] == "http.response.start" or message["more_body"]
            await send(message)

        served: Any = {**scope, "state": {}}
        await app(served, receive, sent)
        if is_open:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return call


def configured(folder: Path, kinds: Kinds, config: Mapping[str, Any]) -> Settings:
    """The settings of a config, with all that goes without saying."""
    places = {"data_dir": str(folder / "data"), "cache_dir": str(folder / "cache")}
    routes = [{"provider": name} for name in kinds.providers]
    whole = {
        "integrity": UNJUDGED,
        "providers": {name: {"kind": name} for name in kinds.providers},
        "models": {"it": {"routes": routes, "share": False}},
        **config,
        "server": {**config.get("server", {}), **places},
    }
    return parse(json.dumps(whole), kinds.providers)  # JSON is YAML
