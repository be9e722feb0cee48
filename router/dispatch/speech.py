"""Speech under way, as one caller has it: what it is, and its bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from router.contract.audio import AudioFormat
from router.contract.record import Cached, VoiceChange
from router.contract.speech import Held
from router.dispatch.made import Sound
from router.dispatch.tape import Reader

if TYPE_CHECKING:
    from router.dispatch.paying import Account

NOBODY: Mapping[str, str] = MappingProxyType({})


class Speech:
    """Iterate `chunks` once, to the end: then `complete` is true. Its journey closes it."""

    def __init__(
        self,
        *,
        chunks: AsyncIterator[bytes],
        format: AudioFormat,
        length: int | None,
        model: str,
        provider: str,
        upstream_model: str,
        voice: str,
        fallback: str,
        passed_over: Mapping[str, str] = NOBODY,
        voice_change: VoiceChange = "",
        ignored: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
        characters: int,
        sound: Sound | None = None,
        seconds: float | None = None,
        shared: bool = False,
        cache: Cached = "",
        repeat: bool = False,
        held: Held | None = None,
    ) -> None:
        self._chunks = chunks
        self.format = format
        self.length = length
        """Exact bytes of the whole body, where it is held whole."""
        self.model = model
        self.provider = provider
        self.upstream_model = upstream_model
        self.voice = voice
        self.fallback = fallback
        self.passed_over = passed_over
        """The same by provider; empty where it was kept from before."""
        self.voice_change = voice_change
        self.ignored = ignored
        self.warnings = warnings
        self.characters = characters
        self.sound = sound
        """What is heard; `None`: nobody was asked."""
        self._seconds = seconds
        self.shared = shared
        """Somebody else had asked for it first."""
        self.cache = cache
        self.repeat = repeat
        """It was given before under the same Idempotency-Key."""
        self.held = held
        """Who speaks, for what is to follow in the same voice; `None`: nobody, or it was kept."""
        self.account: Account | None = None
        """What it costs, once it is under way."""
        self.bytes_out = 0
        self.complete = False

    @property
    def seconds(self) -> float | None:
        """Seconds of audio made so far; `None` for a compressed body that passes through."""
        return self.sound.seconds if self.sound is not None else self._seconds

    @property
    def waiting_bytes(self) -> int:
        """Made already, and not yet taken by this caller."""
        return self._chunks.waiting_bytes if isinstance(self._chunks, Reader) else 0

    @property
    def upstream_id(self) -> str | None:
        return self.sound.upstream_id if self.sound is not None else None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body. Raises ProviderError where speech breaks off: what came before is not whole."""
        async for chunk in self._chunks:
            self.bytes_out += len(chunk)
            yield chunk
        self.complete = True
