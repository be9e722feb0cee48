"""Configs for scripted providers, and what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SPEECH = "/v1/audio/speech"
TEXT = "This is a sentence with a middle and an end."
SCRIPTED = "router.testing.scripted"
"""The plugin that brings the kind `scripted`."""
UNJUDGED = {"judges": False}
"""For `integrity`: a tone is not speech, and no test of the wire wants to hear that."""

NO_REST = {"least": 100_000, "cool_s": 1e-6, "cool_most_s": 1e-6}
"""For `outlook`: who fails in one test is asked again in the next."""


def scripted(**settings: Any) -> dict[str, Any]:
    """A provider that plays a script from its settings."""
    return {"kind": "scripted", **settings}


def models(routes: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Models by name, each with the providers that are asked, in this order; every request is
    spoken for itself, though all ask for the same."""
    return {
        name: {"routes": [{"provider": provider} for provider in providers], "share": False}
        for name, providers in routes.items()
    }


def asking(model: str = "it", **fields: Any) -> dict[str, Any]:
    """A body in OpenAI's shape; PCM streams, WAV is held whole."""
    return {"model": model, "input": TEXT, "voice": "alloy", "response_format": "pcm", **fields}
