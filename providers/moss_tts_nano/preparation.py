"""From an order's text to what the model is given, chunk by chunk."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec

from providers.moss_tts_nano.chunks import official_chunks, official_pause_s
from providers.moss_tts_nano.cleanup import cleaned
from providers.moss_tts_nano.mending import mended
from providers.moss_tts_nano.sentences import split
from providers.moss_tts_nano.tokenizer import Tokenizer
from providers.moss_tts_nano.verbal import Verbalizer

_COUNTS = 1024
"""Token counts remembered while one text is split: the same stretch is asked for several times."""

Cleanup = Literal["router", "official"]


class PreparedChunk(msgspec.Struct, frozen=True):
    """One piece to speak. Neither text nor tokens are in its repr."""

    text: str
    tokens: tuple[int, ...]
    pause_s: float
    """Silence after it; 0 after the last."""

    def __repr__(self) -> str:
        return f"PreparedChunk({len(self.tokens)} tokens, {self.pause_s} s)"


class Preparation:
    """Cleans, spells out, splits and tokenizes. Thread-safe; a page of text takes milliseconds of
    work, so it belongs into a thread."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        cleanup: Cleanup = "router",
        verbalizer: Verbalizer | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._official = cleanup == "official"
        self._verbalizer = verbalizer

    def chunks(
        self, text: str, language: str, voice: str | None = None
    ) -> tuple[PreparedChunk, ...]:
        """The chunks of a text in order; none if there is nothing to say. `language` is the text's
        BCP-47 tag, `voice` the builtin voice's name: only the official way looks at it."""
        return self._officially(text, voice) if self._official else self._mended(text, language)

    def _mended(self, text: str, language: str) -> tuple[PreparedChunk, ...]:
        safe = mended(self._tokenizer.broken(_encodable(text)))
        if self._verbalizer is not None:
            safe = self._verbalizer.spoken(safe, language)
        return tuple(
            PreparedChunk(chunk.text, tuple(self._tokenizer.encode(chunk.text)), chunk.pause_s)
            for chunk in split(safe, lru_cache(_COUNTS)(self._tokenizer.count))
        )

    def _officially(self, text: str, voice: str | None) -> tuple[PreparedChunk, ...]:
        ready = cleaned(text)
        if self._verbalizer is not None:
            ready = cleaned(self._verbalizer.officially(ready, voice))
        encode = self._tokenizer.encode_exactly
        chunks = official_chunks(ready, lambda piece: len(encode(piece)))
        pauses = [official_pause_s(chunk) for chunk in chunks[:-1]]
        return tuple(
            PreparedChunk(chunk, tuple(encode(chunk)), pause_s)
            for chunk, pause_s in zip(chunks, [*pauses, 0.0], strict=False)
        )


def _encodable(text: str) -> str:
    """Without halves of surrogate pairs, which no encoding knows."""
    return text.encode("utf-8", "ignore").decode("utf-8")
