"""Two routers, what they stand on, and the Prometheus that watches them: all of it real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.grafana.files import GRAFANA
from tests.grafana.server import Prometheus, prometheus
from tests.live.moss import GUARDS, MOSS
from tests.support.postgres import Postgres
from tests.support.postgres import running as postgres
from tests.support.process import ServerProcess, serving
from tests.support.redis import RedisServer, redis_server
from tests.support.scripts import SCRIPTED, models, scripted
from tests.support.tiny_moss import write

KEY, FEW = "sk-of-a-caller-0123456789", "sk-of-one-who-may-little"
METRICS_KEY = "kept-between-us-two"
SCRAPE = "500ms"
FIRST_S, SPEECH_S, PACE = 1.05, 2.0, 0.2
"""The good voice: silent for so long, then so much sound at so many seconds for a second."""
LATE_S = 2.2
"""Later than the objective of first audio allows."""
PRICE = 0.5
"""Credits for 1,000 characters."""
PROVIDERS: Mapping[str, Any] = {
    "good": scripted(first_s=FIRST_S, seconds=SPEECH_S, pace=PACE, slots=64),
    "late": scripted(first_s=LATE_S, seconds=2.0, slots=64),
    "mute": scripted(hang_after_s=0, first_audio_s=0.3),
    "unreachable": scripted(fail="unreachable"),
    "cut": scripted(fail="broken", fail_after_s=2.0, pace=0.4),
    "hasty": scripted(seconds=0.8),
    "narrow": scripted(seconds=1e6, pace=1, slots=1),
    "dear": {"kind": "dear"},
    "dying": {"kind": "dying"},
    "slow": {"kind": "slow-engine"},
}
ROUTES = {
    "talk": ("good",),
    "dear": ("dear",),
    "late": ("late",),
    "mute-then-good": ("mute", "good"),
    "dead": ("unreachable",),
    "cut": ("cut",),
    "hasty": ("hasty",),
    "narrow": ("narrow",),
    "slow": ("slow",),
    "moss": ("moss",),
    "long": ("dying", "good"),
}


class World(NamedTuple):
    """What a story may do something to."""

    router: ServerProcess
    other: ServerProcess
    """A second one, without keys, whose jobs nobody works at."""
    config: Path
    """Of the first."""
    redis: RedisServer
    postgres: Postgres
    watch: Prometheus


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """All of it, while the block lasts."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        store = stack.enter_context(postgres())
        moss = write(_new(folder / "model"))
        plugins = [SCRIPTED, "tests.grafana.voices"]
        config = _config(moss, redis, store)
        router = stack.enter_context(serving(config, _new(folder / "router"), plugins=plugins))
        plain = _plain()
        other = stack.enter_context(serving(plain, _new(folder / "other"), plugins=plugins))
        told = _watching(_new(folder / "watch"), router, other)
        watch = stack.enter_context(prometheus(told, folder / "watch"))
        file = folder / "router" / "router.yaml"
        yield World(router, other, file, redis, store, watch)


def _config(moss: Path, redis: RedisServer, store: Postgres) -> dict[str, Any]:
    engine = {"kind": MOSS, "guards": GUARDS, "directory": str(moss), "pull": "never"}
    given = models(ROUTES)
    for model in given.values():
        model["price"] = {"credits_per_1k_chars": PRICE}
    given["together"] = {**given["talk"], "share": True}
    given["talk-again"] = given["later"] = given["talk"]
    given["long"] |= {"pieces": "always", "piece_chars": 60, "voice_change": "any"}
    keys = {
        "caller": {"key": KEY, "credits": 1000},
        "few": {"key": FEW, "limits": {"requests_per_minute": 1}},
    }
    return {
        "server": {"secret": "one-for-all-of-them", "places": 64},
        "metrics": {"key": METRICS_KEY},
        "cache": {"enabled": True, "scope": "shared"},
        "jobs": {"webhooks": {"allow_private": True}},
        "outlook": {"cool_s": 120, "probe": "off"},
        "timeouts": {"retry_pause_s": 0, "slot_s": 60},
        "accounts": {"store": store.url(), "redis": redis.url, "keys": keys},
        "providers": {**PROVIDERS, "moss": {**engine, "graphs": "shipped"}},
        "models": given,
    }


def _plain() -> dict[str, Any]:
    return {
        "metrics": {"key": METRICS_KEY},
        "jobs": {"workers": 0},
        "providers": {"hasty": PROVIDERS["hasty"]},
        "models": models({"hasty": ("hasty",)}),
    }


def _watching(folder: Path, *routers: ServerProcess) -> dict[str, Any]:
    """As `grafana/prometheus.yml`, but for the targets and for how often it looks; the rules are
    those files as they are."""
    for name in ("rules.yml", "alerts.yml"):
        shutil.copy(GRAFANA / name, folder / name)
    addresses = [urlsplit(router.url).netloc for router in routers]
    return {
        "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
        "rule_files": ["rules.yml", "alerts.yml"],
        "scrape_configs": [
            {
                "job_name": "tts-router",
                "authorization": {"credentials": METRICS_KEY},
                "static_configs": [{"targets": addresses}],
            }
        ],
    }


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
