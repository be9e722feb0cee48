"""Under which address the finished audio of a job is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.jobs.job import JobAudio
from router.settings.structs import Server

if TYPE_CHECKING:  # the command line reads what is told of a job, and needs no web framework
    from router.api.body import ApiRequest

FILES = "/v1/audio/files/"
"""Before a file's token and its name."""


def base_of(request: ApiRequest, server: Server) -> str:
    """Where the caller reaches the router: as the config says, else as this request came."""
    return (server.public_url or str(request.base_url)).rstrip("/")


def audio_url(base: str, audio: JobAudio) -> str:
    """The absolute address of a file, for whoever is given it: it needs no key."""
    return f"{base}{FILES}{audio.token}/{audio.name}"
