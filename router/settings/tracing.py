"""What may be written of traces in the YAML file."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from router.contract.provider import Secret
from router.settings.problems import Problem

_NEEDED = "opentelemetry.proto.collector.trace"


class Tracing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether and where spans are sent: one of each request, with children."""

    enabled: bool = False
    endpoint: Annotated[
        str,
        Meta(
            pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
            description="Where OTLP is taken over HTTP, with its path.",
            examples=["http://127.0.0.1:4318/v1/traces"],
        ),
    ] = "http://127.0.0.1:4318/v1/traces"
    service_name: Annotated[str, Meta(min_length=1, max_length=256)] = "tts-router"
    sample_ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Part of the requests that are recorded; those that come with a trace, as their caller
    does."""
    headers: dict[str, Secret] = {}
    """Sent with every export; secret, for a key may be among them."""


def wrong(tracing: Tracing) -> Iterator[Problem]:
    """What a look at the table alone cannot tell."""
    for name, value in tracing.headers.items():
        if not (name + value.reveal()).isascii() or not (name + value.reveal()).isprintable():
            yield Problem(f"tracing.headers.{name}", "holds characters that no HTTP header can")
    if tracing.enabled and not _is_installed(_NEEDED):
        missing = "needs OpenTelemetry, which is not installed"
        yield Problem("tracing.enabled", missing, "pip install 'tts-router[otel]'")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # not even the package around it
        return False
