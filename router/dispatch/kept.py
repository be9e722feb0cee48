"""A finished speech, as it can be given again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from router.contract.audio import AudioFormat
from router.contract.caller import Share
from router.dispatch.made import Made
from router.dispatch.verdicts import trail

_CHUNK_BYTES = 64
"""What each chunk takes beside its bytes."""
_OWN_BYTES = 512


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of it in the headers of an answer. No text is in it."""

    provider: str
    model: str
    """The upstream's."""
    voice: str
    format: AudioFormat
    fallback: str
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float | None
    tokens: int | None


class Kept(msgspec.Struct, frozen=True):
    """What it was, and all of its body."""

    about: About
    chunks: tuple[bytes, ...]
    was_cached: bool = False
    """It came from the cache, and has its price."""

    @property
    def audio_bytes(self) -> int:
        return sum(map(len, self.chunks))

    @property
    def held_bytes(self) -> int:
        """What it takes in memory, about."""
        return self.audio_bytes + _CHUNK_BYTES * len(self.chunks) + _OWN_BYTES


def kept_of(made: Made, voice: str, chunks: tuple[bytes, ...]) -> Kept:
    """What was made, once it has ended; `voice` is the logical one."""
    candidate, sound = made.candidate, made.sound
    about = About(
        provider=candidate.provider,
        model=candidate.model,
        voice=sound.voice or candidate.voice.id or voice,
        format=sound.format,
        fallback=trail(made.passed_over),
        ignored=candidate.ignored,
        warnings=made.warnings,
        seconds=sound.seconds,
        tokens=sound.tokens,
    )
    return Kept(about, chunks)


class Again:
    """Kept speech as a `Sound`: nobody makes it any more."""

    ended = True
    framed = True
    upstream_id = None
    shares: tuple[Share, ...] = ()

    def __init__(self, kept: Kept) -> None:
        about = kept.about
        self.format = about.format
        self.seconds = about.seconds
        self.voice = about.voice
        self.tokens = about.tokens
        self.length = kept.audio_bytes
        self._chunks = kept.chunks

    @property
    def body(self) -> AsyncIterator[bytes]:
        return self._body()

    async def _body(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
