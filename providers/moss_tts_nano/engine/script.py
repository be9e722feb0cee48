"""What the engine is given to say."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

import msgspec

from providers.moss_tts_nano.draws import RowDraws
from providers.moss_tts_nano.guards import Finding, Hush, Watch
from providers.moss_tts_nano.parts import Ints
from providers.moss_tts_nano.sampling import Sampling
from router.contract.speech import Priority


class Chunk(msgspec.Struct, frozen=True, eq=False):
    """One sequence for the model. Its rows are the caller's text, so they are in no repr."""

    rows: Ints
    """The whole prompt, int32 [length, 1 + codebooks]."""
    prefix_rows: int
    """How many of its first rows depend on the voice alone."""
    pause_samples: int
    """Silence after it, where another chunk follows."""
    watch: Callable[[], Watch]
    """A fresh guard for each try."""
    hush: Callable[[], Hush]

    def __repr__(self) -> str:
        return f"Chunk({len(self.rows)} rows)"


class Script(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One speech: chunks that are spoken one after the other, and made side by side."""

    chunks: tuple[Chunk, ...]
    voice: Hashable
    """The key under which the voice's prefix is kept."""
    draws: Callable[[int, int], RowDraws]
    """Random numbers for a chunk and a try at it, both counted from 0."""
    sampling: Sampling | None = None
    """Where the host samples; `None`: as the model's makers set it."""
    tries: int = 3
    """Times that one chunk is made at most."""
    priority: Priority = "live"


class Listener(Protocol):
    """Hears a speech, from the engine's threads and under its lock: it must only take note."""

    def hear(self, sound: bytes) -> None:
        """More of it: PCM, 16-bit little-endian, channels interleaved."""
        ...

    def doubt(self, finding: Finding, *, made_again: bool) -> None:
        """A chunk went wrong: it is made again, or it ends here."""
        ...

    def end(self) -> None:
        """That was all."""
        ...

    def fail(self, error: Exception) -> None:
        """There will be no more."""
        ...
