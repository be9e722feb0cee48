"""The compressed formats, encoded as speech arrives: mp3, aac and flac frame by frame, Opus in Ogg
pages.

Each starts with its first frame: no Xing or ID3 head that could lie about a length nobody knows
yet. First bytes after this much audio (measured): opus 20 ms, flac 12 ms at 48 kHz and 24 ms at
24 kHz, mp3 48 ms at both, aac 43 ms at 48 kHz and 85 ms at 24 kHz.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import msgspec

from router.audio.ogg_pages import OggWriter, opus_tags
from router.contract.audio import AudioFormat, Encoding

_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_AAC_RATES = (*_MP3_RATES, 64_000, 88_200, 96_000)
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_LEGAL_RATES: Mapping[Encoding, tuple[int, ...]] = {
    "mp3": _MP3_RATES,
    "aac": _AAC_RATES,
    "opus": _OPUS_RATES,
    "ogg": _OPUS_RATES,
}
_MOST_CHANNELS = 2


def legal(encoding: Encoding, sample_rate: int, channels: int) -> tuple[int, int]:
    """The nearest rate above, and the channels, that an encoding can have."""
    if encoding in ("pcm", "wav"):
        return sample_rate, channels
    rates = _LEGAL_RATES.get(encoding)
    if rates is not None:
        sample_rate = rates[min(bisect.bisect_left(rates, sample_rate), len(rates) - 1)]
    return sample_rate, min(channels, _MOST_CHANNELS)


_QUICK_FROM: Mapping[Encoding, int] = {"mp3": 12_000, "aac": 22_050}
"""Hertz below which a frame is so long that the first bytes take more than 100 ms of audio."""


def kept(encoding: Encoding, sample_rate: int, channels: int) -> tuple[int, int]:
    """The rate and channels of a speaker as an encoding keeps them, where nobody asked for a rate:
    legal ones, and such that the first bytes come soon."""
    return legal(encoding, max(sample_rate, _QUICK_FROM.get(encoding, 0)), channels)


class _Codec(msgspec.Struct, frozen=True):
    """How FFmpeg calls an encoder, and how it wants its samples."""

    name: str
    sample_format: str
    bits_per_channel: int | None = None
    options: Mapping[str, str] = {}
    frame: int | None = None


_CODECS: Mapping[Encoding, _Codec] = {
    "mp3": _Codec("libmp3lame", "s16p", 64_000, {"reservoir": "0", "compression_level": "7"}),
    # With both channels alike, mid and side take three times the processor time: the side needs so
    # few bits that the rate control searches on (measured).
    "aac": _Codec("aac", "fltp", 64_000, {"aac_coder": "fast", "aac_ms": "0"}),
    "flac": _Codec("flac", "s16", None, {"frame_size": "576"}, frame=576),
}


class _Samples:
    """Interleaved 16-bit PCM of any length, cut into an encoder's frames."""

    def __init__(self, format: AudioFormat, sample_format: str, frame: int) -> None:
        import av  # noqa: PLC0415  # loaded when first needed
        import numpy as np  # noqa: PLC0415

        assert format.sample_rate is not None
        assert format.channels is not None
        self._av, self._np = av, np
        self._rate, self._channels = format.sample_rate, format.channels
        self._layout = layout(self._channels)
        self._sample_format = sample_format
        self._frame_bytes = frame * self._channels * 2
        self._held = bytearray()
        self._at = 0

    def frames(self, pcm: bytes) -> list[Any]:
        """The whole frames that there are now."""
        self._held += pcm
        whole = len(self._held) // self._frame_bytes * self._frame_bytes
        cut = range(0, whole, self._frame_bytes)
        frames = [self._frame(self._held[at : at + self._frame_bytes]) for at in cut]
        del self._held[:whole]
        return frames

    def last(self) -> list[Any]:
        """The samples that fill no frame: the encoder takes a short one at the end."""
        rest, self._held = self._held, bytearray()
        return [self._frame(rest)] if rest else []

    def _frame(self, pcm: bytearray) -> Any:
        np = self._np
        samples = np.frombuffer(bytes(pcm), dtype="<i2").reshape(-1, self._channels)
        if self._sample_format == "fltp":
            planes = np.ascontiguousarray(samples.T, dtype=np.float32) / np.float32(32_768)
        elif self._sample_format == "s16p":
            planes = np.ascontiguousarray(samples.T)
        else:
            planes = samples.reshape(1, -1)
        frame = self._av.AudioFrame.from_ndarray(
            planes, format=self._sample_format, layout=self._layout
        )
        frame.sample_rate = self._rate
        frame.pts = self._at
        self._at += len(samples)
        return frame


def layout(channels: int) -> str:
    """FFmpeg's name for one or two channels."""
    return "mono" if channels == 1 else "stereo"


class FrameEncoder:
    """A codec whose packets, one behind the other, are the file: mp3, ADTS aac, flac."""

    def __init__(self, format: AudioFormat) -> None:
        import av  # noqa: PLC0415  # loaded when first needed

        codec = _CODECS[format.encoding]
        assert format.channels is not None
        context: Any = av.CodecContext.create(codec.name, "w")
        context.sample_rate = format.sample_rate
        context.layout = layout(format.channels)
        context.format = codec.sample_format
        context.thread_count = 1
        context.options = dict(codec.options)
        if codec.bits_per_channel is not None:
            context.bit_rate = codec.bits_per_channel * format.channels
        context.open()
        self._context = context
        self._samples = _Samples(format, codec.sample_format, codec.frame or context.frame_size)
        self._wrap = _WRAPS.get(format.encoding, _bare)(format)
        self._head = b"fLaC\x80\x00\x00\x22" + context.extradata if codec.name == "flac" else b""

    def feed(self, pcm: bytes) -> bytes:
        return self._encoded(self._samples.frames(pcm))

    def finish(self) -> bytes:
        return self._encoded([*self._samples.last(), None])

    def _encoded(self, frames: list[Any]) -> bytes:
        packets = [bytes(packet) for frame in frames for packet in self._context.encode(frame)]
        body = b"".join(self._wrap(packet) for packet in packets)
        if body and self._head:
            body, self._head = self._head + body, b""
        return body


def _bare(format: AudioFormat) -> Callable[[bytes], bytes]:
    del format
    return bytes


def _adts(format: AudioFormat) -> Callable[[bytes], bytes]:
    """A header of seven bytes before each AAC frame (ISO/IEC 13818-7, 6.2): LC, no CRC."""
    assert format.sample_rate is not None
    assert format.channels is not None
    rate = sorted(_AAC_RATES, reverse=True).index(format.sample_rate)
    fixed = 0xFFF1 << 40 | 1 << 38 | rate << 34 | format.channels << 30

    def wrap(packet: bytes) -> bytes:
        size = len(packet) + 7
        return (fixed | size << 13 | 0x7FF << 2).to_bytes(7, "big") + packet

    return wrap


_WRAPS: Mapping[Encoding, Callable[[AudioFormat], Callable[[bytes], bytes]]] = {"aac": _adts}


def flac_exact(body: bytearray, frames: int) -> None:
    """Write the number of samples into the head of a FLAC that is held whole (RFC 9639, 8.2)."""
    body[21] = body[21] & 0xF0 | frames >> 32 & 0x0F
    body[22:26] = (frames & 0xFFFF_FFFF).to_bytes(4, "big")


_GRANULE_RATE = 48_000
"""Hertz in which Ogg counts Opus, whatever the encoder was given (RFC 7845, section 4)."""


class OpusEncoder:
    """Opus in Ogg, a page for each frame of 20 ms: its length is exact at the end."""

    def __init__(self, format: AudioFormat) -> None:
        import av  # noqa: PLC0415  # loaded when first needed

        assert format.channels is not None
        assert format.sample_rate is not None
        rate, channels = format.sample_rate, format.channels
        context: Any = av.CodecContext.create("libopus", "w")
        context.sample_rate = rate
        context.layout = layout(channels)
        context.format = "s16"
        context.bit_rate = 32_000 * channels
        context.options = {"frame_duration": "20", "compression_level": "5"}
        context.time_base = Fraction(1, rate)
        context.open()
        self._context = context
        self._samples = _Samples(format, "s16", context.frame_size)
        self._page_samples = context.frame_size * _GRANULE_RATE // rate
        self._sample_bytes = 2 * channels * rate
        self._fed_bytes = 0
        self._granule = 0
        self._writer = OggWriter()
        head = bytes(context.extradata)
        self._skip = int.from_bytes(head[10:12], "little")
        """Samples that a decoder throws away at the start (RFC 7845, 5.1)."""
        self._head = self._writer.page(head, 0) + self._writer.page(opus_tags(b"tts-router"), 0)

    def feed(self, pcm: bytes) -> bytes:
        self._fed_bytes += len(pcm)
        packets = self._packets(self._samples.frames(pcm))
        return self._headed(b"".join(self._page(packet) for packet in packets))

    def finish(self) -> bytes:
        if not self._fed_bytes:
            return b""
        *packets, last = self._packets([*self._samples.last(), None])
        body = b"".join(self._page(packet) for packet in packets)
        heard = self._fed_bytes * _GRANULE_RATE // self._sample_bytes
        return self._headed(body + self._writer.page(last, self._skip + heard, is_last=True))

    def _packets(self, frames: list[Any]) -> list[bytes]:
        return [bytes(packet) for frame in frames for packet in self._context.encode(frame)]

    def _page(self, packet: bytes) -> bytes:
        self._granule += self._page_samples
        return self._writer.page(packet, self._granule)

    def _headed(self, body: bytes) -> bytes:
        if body and self._head:
            body, self._head = self._head + body, b""
        return body
