"""Which shape a request has: the path says it, and on the shared path the body does."""

from __future__ import annotations

from typing import Literal

from router.api.body import Body
from router.api.fields import Asked, decoded
from router.api.leaper import LeaperSpeech
from router.api.nanogpt import NanoGPTSpeech
from router.api.openai import OpenAISpeech
from router.routing.catalogue import Catalogue
from router.settings.structs import Family, Model

Endpoint = Literal["shared", "nanogpt", "nanogpt-newer"]
"""`/v1/audio/speech`, `/v1/speech`, and `/api/v1/audio/speech`."""

NEWER_VOICE = "alloy"
"""On NanoGPT's newer spelling a voice may be left out."""


def likely(endpoint: Endpoint, content_type: str | None) -> Family:
    """The shape before the body is read: only LEAPERone's clients send multipart."""
    if endpoint == "nanogpt":
        return "nanogpt"
    is_form = (content_type or "").strip().lower().startswith("multipart/")
    return "leaper" if endpoint == "shared" and is_form else "openai"


def family(endpoint: Endpoint, body: Body, catalogue: Catalogue) -> Family:
    """The shape whose names and defaults hold.

    On the shared path LEAPERone's clients send multipart, no model, or a model of its family;
    everybody else speaks OpenAI's.
    """
    if endpoint != "shared":
        return "nanogpt" if endpoint == "nanogpt" else "openai"
    asked = body.fields.get("model")
    if body.is_multipart or asked is None or asked == "":
        return "leaper"
    found = catalogue.find_model(asked) if isinstance(asked, str) else None
    return "leaper" if found is not None and found.model.family == "leaper" else "openai"


def normalised(
    endpoint: Endpoint,
    shape: Family,
    body: Body,
    *,
    accept: str | None,
    catalogue: Catalogue,
    strict: bool,
) -> Asked:
    """The request in the router's words. Raises CallerError in the shape's own names."""
    fields = body.fields
    if shape == "leaper":
        leaper = decoded(_without_empty_model(fields), LeaperSpeech, strict=strict)
        return leaper.normalised(_settings(leaper.model, catalogue), body.clip)
    if shape == "nanogpt":
        nano = decoded(fields, NanoGPTSpeech, strict=strict)
        model = _settings(nano.model, catalogue)
        return nano.normalised(model, body.clip, accept)
    openai = decoded(fields, OpenAISpeech, strict=strict)
    default = NEWER_VOICE if endpoint == "nanogpt-newer" else None
    return openai.normalised(_settings(openai.model, catalogue), body.clip, default)


def of_any(body: Body) -> Endpoint:
    """The endpoint to which a body of unknown origin was most likely meant."""
    has_format = "format" in body.fields and "response_format" not in body.fields
    return "nanogpt" if has_format else "shared"


def _without_empty_model(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name != "model" or value != ""}


def _settings(model: str, catalogue: Catalogue) -> Model:
    found = catalogue.find_model(model)
    return found.model if found is not None else Model()
