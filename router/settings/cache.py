"""What may be written of finished speech that is kept to be given again."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Bytes = Annotated[int, Meta(ge=0, le=2**50)]


class Cache(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The finished-speech cache: whether there is one, for whom, and how much of it."""

    enabled: bool = False
    scope: Literal["caller", "shared"] = "caller"
    """Who hears what was kept: the caller for whom it was spoken, or everybody."""
    clones: bool = False
    """Whether speech in a cloned voice is kept, too."""
    memory_bytes: Bytes = 67_108_864
    """The most that is held in memory."""
    disk_bytes: Bytes = 1_073_741_824
    """The most that lies in `cache_dir`, where it outlives a restart; 0: nothing."""
    entry_bytes: Annotated[int, Meta(ge=1, le=2**30)] = 16_777_216
    """The longest speech that is kept."""
    age_s: Annotated[float, Meta(gt=0, le=315_360_000)] = 604_800.0
    """How long it is kept."""
