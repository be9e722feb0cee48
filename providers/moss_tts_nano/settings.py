"""What may be set for an instance of the local engine; light, for every start imports it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Precision = Literal["exact", "int8"]
Temperature = Annotated[float, Meta(gt=0, le=2)]
TopP = Annotated[float, Meta(gt=0, le=1)]


class Guards(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a chunk is held to have gone wrong. Each guard is off at 0."""

    most_frames: Annotated[
        int, Meta(ge=1, le=3000, description="Most frames of 80 ms in one chunk, at any length.")
    ] = 600
    frames_per_token: Annotated[
        float, Meta(ge=0, description="Frames that one text token may need, beside the spare ones.")
    ] = 10.0
    spare_frames: Annotated[
        int, Meta(ge=0, description="Frames that any text may need, however short.")
    ] = 25
    silent_frames: Annotated[
        int, Meta(ge=0, description="Frames of silence in a row that no pause explains.")
    ] = 18
    loops: Annotated[bool, Meta(description="Whether repeated frames are looked for.")] = True
    fewest_frames_share: Annotated[
        float, Meta(ge=0, le=1, description="Share of the fewest frames that a text can take.")
    ] = 0.6


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything has a default that is good on any machine."""

    pull: Literal["auto", "never"] = "auto"
    """`auto`: the model is fetched in the background at the first start."""
    directory: Path | None = None
    """A model directory of one's own; else the cache of huggingface_hub."""
    endpoint: str | None = None
    """A mirror of the hub; else `$HF_ENDPOINT`, else the hub itself."""
    graphs: Literal["auto", "shipped"] = "auto"
    """`auto`: faster graphs are built from the shipped ones, and used where they are proven."""
    precision: Precision = "exact"
    """`int8`: the language model's weights in 8 bits, twice as fast, nearly the same. There a seed
    may give other tokens while somebody else speaks."""
    sample_mode: Literal["fixed", "full", "greedy"] = "fixed"
    """`fixed`: as the model's makers set it. `full`: by temperature and top-p. `greedy`: the
    likeliest."""
    seed: int | None = None
    """For orders that bring none; else each has one of its own."""
    temperature: Temperature | None = None
    """For `full`; else the model's own, 0.8."""
    top_p: TopP | None = None
    """For `full`; else the model's own, 0.95."""
    cleanup: Literal["router", "official"] = "router"
    """How a text is made ready: `official` as the model's own runtime does it."""
    spell_out: bool = True
    """Numbers and dates in words, where wetext is installed."""
    cores: Annotated[int, Meta(ge=1, le=1024)] | None = None
    """Processors to plan for; else those that this process may use."""
    rows: Annotated[int, Meta(ge=1, le=64)] | None = None
    """Chunks of text that are spoken at once; else by the cores."""
    waiting: Annotated[int, Meta(ge=0, le=1000)] = 16
    """Speeches that may wait beside as many as there are rows."""
    voices_mb: Annotated[int, Meta(ge=0, le=16384)] = 256
    """Memory for what the model knows of voices (14 MB a voice of ten seconds)."""
    clones: Annotated[int, Meta(ge=1, le=10_000)] = 128
    """Voice samples whose codes are remembered, 12 kB each."""
    tries: Annotated[int, Meta(ge=1, le=10)] = 3
    """How often a chunk that went wrong is made, while nobody has heard of it."""
    guards: Guards = Guards()
    real_people: bool = False
    """Whether voices that imitate somebody are offered under their own names."""
    welcome_clip: Path | None = None
    """A recording for alloy, en-welcome and demo-7, for which the model has no voice of its own;
    else Ava speaks."""

    def __post_init__(self) -> None:
        for name in ("directory", "welcome_clip"):
            path = getattr(self, name)
            if path is not None:
                msgspec.structs.force_setattr(self, name, path.expanduser())
