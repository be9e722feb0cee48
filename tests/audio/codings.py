"""What each codec makes of a length: the formulas that a body is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Coding(NamedTuple):
    """What a codec adds, in samples."""

    delay: int = 0
    """How late the sound begins."""
    priming: int = 0
    """How much there is at least besides the sound."""
    frame: Callable[[int], int] = lambda _rate: 1
    """The samples that are coded at once, by rate."""

    def length(self, frames: int, rate: int) -> int:
        """How long so many frames are once they were encoded and decoded."""
        size = self.frame(rate)
        return -(-(frames + self.priming) // size) * size


EXACT = Coding()

# LAME delays by 576 samples and its decoder by 529; it pads with 576 at least (LAME 3.100, lame.c,
# lame_encode_flush). FFmpeg's AAC overlaps by one frame.
_CODINGS: Mapping[str, Coding] = {
    "mp3": Coding(1_105, 1_152, lambda rate: 1_152 if rate >= 32_000 else 576),
    "aac": Coding(1_024, 1_024, lambda _rate: 1_024),
}


def coding(kind: str) -> Coding:
    """A bare mp3 and ADTS cannot say how much of them is not sound; all others are exact."""
    return _CODINGS.get(kind, EXACT)


_ADTS_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000),
    *(22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
)


def adts_shapes(body: bytes) -> set[tuple[int, int]]:
    """The rates and channels in all ADTS headers; they must lie one behind the other."""
    shapes = set()
    at = 0
    while at < len(body):
        head = int.from_bytes(body[at : at + 7], "big")
        sync, profile, channels = head >> 40, head >> 38 & 3, head >> 30 & 7
        assert (sync, profile) == (0xFFF1, 1), "MPEG-4, no CRC, low complexity"
        assert head & 3 == 0, "one block in a frame"
        shapes.add((_ADTS_RATES[head >> 34 & 15], channels))
        at += head >> 13 & 0x1FFF
    assert at == len(body)
    return shapes
