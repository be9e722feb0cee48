"""When a provider is left alone for a while, and how it is tried again."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Span = Annotated[float, Meta(gt=0, le=86_400)]


class Outlook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The breaker of each provider and model: what opens it, and for how long."""

    window_s: Span = 60.0
    """How far it looks back."""
    least: Annotated[int, Meta(ge=1, le=100_000)] = 5
    """Attempts in the window before rates mean anything."""
    error_rate: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """Part of the attempts that failed, from which on it opens."""
    slow_s: Span = 10.0
    """Seconds to the first sound from which on an attempt counts as slow."""
    slow_rate: Annotated[float, Meta(gt=0, le=1)] = 0.8
    """Part of the attempts that were slow or failed, from which on it opens."""
    cool_s: Span = 5.0
    """How long it stays open the first time; doubled each time that the trial fails, and each span
    is shortened at random by up to a third, so that not all routers come back at once."""
    cool_most_s: Span = 300.0
    """The longest that it stays open, a provider's own Retry-After included."""
    probe: Literal["off", "health", "phrase"] = "health"
    """How an open one is tried when nobody asks for it: not at all, by asking how it is, or by a
    short word of ours in the provider's own voice, which it may charge for."""
    probe_characters: Annotated[int, Meta(ge=0, le=1_000_000)] = 500
    """Characters a day, in UTC, that phrases may cost with each provider."""
