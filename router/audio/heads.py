"""Reads the head of a compressed stream: its rate and channels, and where its sound begins.

Sources: MPEG audio header ISO/IEC 11172-3 and 13818-3, ADTS ISO/IEC 13818-7 6.2, ID3v2.4 section
3.1, Ogg RFC 3533 section 6, Opus in Ogg RFC 7845 section 5.1, FLAC RFC 9639 section 8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from router.contract.audio import AudioFormat, Encoding
from router.contract.errors import NotSpeech

_MOST = 1_048_576  # a cover picture fits; a head without end does not


class Head(NamedTuple):
    """What was learnt: the sound starts at byte `start`."""

    start: int
    sample_rate: int
    channels: int


def read_head(encoding: Encoding, data: bytearray) -> Head | None:
    """Read the head of a compressed stream; `None` while its first byte of sound is not there.

    Raises:
        NotSpeech: this is not that encoding.
    """
    head = _READERS[encoding](data)
    return head if head is not None and len(data) > head.start else None


class HeadReader:
    """Feed it a stream's bytes until `format` is set: then the first byte of sound has come."""

    def __init__(self, asked: AudioFormat) -> None:
        self._asked = asked
        self._head = bytearray()
        self.format: AudioFormat | None = None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            NotSpeech: this is not the asked encoding, or it has no sound in its first MiB.
        """
        if self.format is not None:
            return
        self._head += chunk
        head = read_head(self._asked.encoding, self._head)
        if head is not None:
            self.format = AudioFormat(self._asked.encoding, head.sample_rate, head.channels)
            self._head.clear()
        elif len(self._head) > _MOST:
            raise NotSpeech("no sound in the first MiB of what came")


def _wrong(encoding: str) -> NotSpeech:
    return NotSpeech(f"what came is not {encoding}")


_MPEG_RATES = ((11_025, 12_000, 8_000), (), (22_050, 24_000, 16_000), (44_100, 48_000, 32_000))
_BITRATES_V1_L3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_V2_L3 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def _mp3(data: bytearray) -> Head | None:
    at = 0
    while data[at : at + 3] == b"ID3":
        if len(data) < at + 10:
            return None
        a, b, c, d = data[at + 6 : at + 10]
        at += 10 + (a << 21 | b << 14 | c << 7 | d)
    if len(data) < at + 40:
        return None
    first, second, third, fourth = data[at : at + 4]
    version, rate_index, bitrate_index = second >> 3 & 3, third >> 2 & 3, third >> 4
    if first != 0xFF or second & 0xE6 != 0xE2 or version == 1 or rate_index == 3:
        raise _wrong("mp3")
    if bitrate_index == 15:
        raise _wrong("mp3")
    rate = _MPEG_RATES[version][rate_index]
    channels = 1 if fourth >> 6 == 3 else 2
    if b"Xing" in data[at + 13 : at + 40] or b"Info" in data[at + 13 : at + 40]:
        bitrates = _BITRATES_V1_L3 if version == 3 else _BITRATES_V2_L3
        factor = 144 if version == 3 else 72
        at += factor * bitrates[bitrate_index] * 1000 // rate + (third >> 1 & 1)
    return Head(at + 4, rate, channels)


_ADTS_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000),
    *(24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
)


def _aac(data: bytearray) -> Head | None:
    if len(data) < 7:
        return None
    rate_index = data[2] >> 2 & 15
    if data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or rate_index >= len(_ADTS_RATES):
        raise _wrong("aac")
    channels = (data[2] & 1) << 2 | data[3] >> 6
    return Head(7, _ADTS_RATES[rate_index], channels or 2)


def _flac(data: bytearray) -> Head | None:
    if not b"fLaC".startswith(data[:4]):
        raise _wrong("flac")
    at, rate, channels = 4, 0, 0
    while len(data) >= at + 4:
        last, kind = data[at] & 0x80, data[at] & 0x7F
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        if kind == 0 and len(data) >= at + 4 + 14:
            packed = int.from_bytes(data[at + 14 : at + 18], "big")
            rate, channels = packed >> 12, (packed >> 9 & 7) + 1
        at += 4 + size
        if last:
            return Head(at, rate, channels)
    return None


def _ogg(data: bytearray) -> Head | None:
    if not b"OggS".startswith(data[:4]):
        raise _wrong("ogg")
    at, rate, channels = 0, 48_000, 0
    while len(data) >= at + 27 and len(data) >= at + 27 + data[at + 26]:
        granule = int.from_bytes(data[at + 6 : at + 14], "little")
        body = at + 27 + data[at + 26]
        size = sum(data[at + 27 : body])
        if granule != 0 and channels:
            return Head(body, rate, channels)
        packet = bytes(data[body : body + 40])
        if packet.startswith(b"OpusHead") and len(packet) > 9:
            channels = packet[9]
        elif packet.startswith(b"\x01vorbis") and len(packet) > 15:
            channels, rate = packet[11], int.from_bytes(packet[12:16], "little")
        at = body + size
    return None


_READERS: Mapping[Encoding, Callable[[bytearray], Head | None]] = {
    "mp3": _mp3,
    "aac": _aac,
    "flac": _flac,
    "opus": _ogg,
    "ogg": _ogg,
}
