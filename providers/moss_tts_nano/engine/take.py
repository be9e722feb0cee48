"""One try at one chunk: its frames as they come, and the sound that they become."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from providers.moss_tts_nano.engine.script import Chunk
from providers.moss_tts_nano.parts import CodecState, Floats, Ints, Seat

if TYPE_CHECKING:
    from providers.moss_tts_nano.engine.utterance import Utterance


class Take:
    """Everything here is touched under the engine's lock, save what one thread alone uses."""

    def __init__(self, utterance: Utterance, index: int, attempt: int) -> None:
        self.utterance = utterance
        self.index = index
        """Which chunk of the utterance."""
        self.attempt = attempt
        self.chunk: Chunk = utterance.script.chunks[index]
        self.frames: list[Ints] = []
        self.limit: int | None = None
        """How many of the frames are good; `None`: all."""
        self.decoded = 0
        """Frames that the codec has taken."""
        self.sound: deque[tuple[int, bytes]] = deque()
        """What the codec made of them and nobody has heard yet, each with its first frame."""
        self.has_left = False
        """Whether anything of it was handed out: then it cannot be made again."""
        self.is_made = False
        """No more frames will come."""
        self.at_codec = False
        """A codec works at a piece of it."""
        self.dropped = False
        """Nobody wants it any more."""
        self.watch = self.chunk.watch()

        self.draws = utterance.script.draws(index, attempt)
        self.seat: Seat | None = None
        self.hidden: Floats | None = None
        self.seen: Ints | None = None
        """These four are the worker's alone."""

        self.state: CodecState | None = None
        self.hush = self.chunk.hush()
        """These two belong to the codec that works at it."""

    @property
    def good(self) -> int:
        """Frames that are to be heard, of those that are made."""
        return len(self.frames) if self.limit is None else min(len(self.frames), self.limit)

    @property
    def to_decode(self) -> int:
        return max(0, self.good - self.decoded)

    @property
    def is_done(self) -> bool:
        """Whether all its sound is made."""
        return self.is_made and not self.to_decode and not self.at_codec

    @property
    def is_wanted(self) -> bool:
        return not self.dropped and not self.utterance.is_over

    def good_part(self, first: int, sound: bytes, frame_bytes: int) -> bytes:
        """What is to be heard of sound that begins with frame `first`."""
        if self.limit is None:
            return sound
        return sound[: max(0, self.limit - first) * frame_bytes]


def mark(seen: Ints, codes: Ints) -> None:
    """Note one frame's codes as emitted; `seen` int32 [codebooks, codebook_size]."""
    seen[np.arange(len(codes)), codes] = 1
