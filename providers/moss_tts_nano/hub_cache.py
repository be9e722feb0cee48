"""Where the hub is, and where the cache of its users keeps what came from it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from huggingface_hub import constants

from providers.moss_tts_nano.hashes import Told
from providers.moss_tts_nano.releases import Repository


class HubFile(msgspec.Struct, frozen=True):
    """One file of a repository."""

    repository: Repository
    name: str
    told: Told
    url: str


def endpoint_of(endpoint: str | None) -> str:
    """Where the hub is: a setting, else `$HF_ENDPOINT`, else its own address."""
    return (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def shown(url: str) -> str:
    """A URL for people: without a password, a path or a signature that may be in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def offline() -> bool:
    """Whether `$HF_HUB_OFFLINE` forbids every request."""
    return constants.is_offline_mode()


def cached(repository: Repository) -> Path:
    """Where the hub's cache keeps the repository at its commit, there or not."""
    return storage(repository) / "snapshots" / repository.revision


def storage(repository: Repository) -> Path:
    """The repository's folder in the hub's cache (`$HF_HOME`, `$HF_HUB_CACHE`)."""
    return Path(constants.HF_HUB_CACHE) / f"models--{repository.name.replace('/', '--')}"
