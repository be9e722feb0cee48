"""Decoders: from a provider's bytes, cut anywhere, to 16-bit PCM as it arrives. Sans-IO: no thread
waits for bytes. WAV and PCM by hand, the codecs by FFmpeg's parsers and decoders (PyAV)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from router.audio.heads import Head, read_head
from router.audio.ogg import OggReader, Packet
from router.audio.wav import WavReader
from router.contract.audio import AudioFormat, Encoding
from router.contract.errors import Broken, NotSpeech

if TYPE_CHECKING:
    import av

_MOST_HEAD = 1_048_576
_MOST_SPOILT = 3


def preload() -> None:
    """Import PyAV (0.1 s): in a thread, before the first compressed stream is opened."""
    import_module("av")
    import_module("numpy")


def is_loaded() -> bool:
    """Whether a codec can be opened without a wait."""
    return "av" in sys.modules


class Decoder(Protocol):
    """From a provider's bytes to samples."""

    @property
    def format(self) -> AudioFormat | None:
        """Rate and channels of what comes out; known with the first bytes out."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """Encoded bytes in, interleaved signed 16-bit PCM out.

        Raises:
            NotSpeech: this is not what it should be.
        """
        ...

    def finish(self) -> bytes:
        """What was still held. Raises Broken when the stream ended before its own framing says."""
        ...


class PcmDecoder:
    """Already there."""

    def __init__(self, native: AudioFormat) -> None:
        if native.sample_rate is None or native.channels is None:
            raise NotSpeech("PCM came without its rate and channels")
        self.format: AudioFormat | None = native

    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def finish(self) -> bytes:
        return b""


class _Frames:
    """What a codec's decoder gives, as interleaved 16-bit samples at one rate."""

    def __init__(self, codec: str) -> None:
        import av  # noqa: PLC0415  # loaded when first needed
        import numpy as np  # noqa: PLC0415

        self._av = av
        self._np = np
        self.context: Any = av.CodecContext.create(codec, "r")
        self.context.thread_count = 1
        self.format: AudioFormat | None = None
        self.count = 0
        """Frames of samples that came out."""
        self._spoilt = 0

    def decoded(self, packets: Iterable[av.Packet[Any] | None], *, is_tail: bool = False) -> bytes:
        """The samples of these packets. A spoilt frame is skipped as players do; three are too
        many.

        Raises:
            NotSpeech: nothing can be decoded, or too much cannot.
            Broken: the last frame is cut short.
        """
        out = []
        for packet in packets:
            try:
                frames = self.context.decode(packet)
            except EOFError:
                break
            except self._av.FFmpegError as error:
                self._spoilt += 1
                if is_tail:
                    raise Broken("the audio ended in the middle of a frame") from error
                if self.count == 0 or self._spoilt > _MOST_SPOILT:
                    raise NotSpeech("the audio cannot be decoded") from error
                continue
            out += [self._samples(frame) for frame in frames]
        return b"".join(out)

    def _samples(self, frame: Any) -> bytes:
        np = self._np
        found = AudioFormat("pcm", frame.sample_rate, frame.layout.nb_channels)
        if self.format is None:
            self.format = found
        elif self.format != found:
            raise Broken(f"the audio changed from {self.format} to {found} in mid-speech")
        self.count += frame.samples
        samples = frame.to_ndarray()
        if frame.format.is_planar:
            samples = samples.T
        if samples.dtype.kind == "f":
            samples = np.clip(np.rint(samples * 32768.0), -32768, 32767)
        elif samples.dtype == np.int32:
            samples = samples >> 16
        return bytes(samples.astype("<i2").tobytes())


class CodecDecoder:
    """A codec whose frames FFmpeg's parser finds in the bytes: mp3, ADTS aac, flac."""

    def __init__(self, encoding: Encoding) -> None:
        codec, self._behind = _PARSED[encoding]
        self._frames = _Frames(codec)
        self._encoding: Encoding = encoding
        self._held: bytearray | None = bytearray()
        self._total = 0

    @property
    def format(self) -> AudioFormat | None:
        return self._frames.format

    def feed(self, chunk: bytes) -> bytes:
        if self._held is not None:
            self._held += chunk
            head = read_head(self._encoding, self._held)
            if head is None:
                if len(self._held) > _MOST_HEAD:
                    raise NotSpeech("no sound in the first MiB of what came")
                return b""
            chunk = self._past(head)
        return self._frames.decoded(self._frames.context.parse(chunk) if chunk else ())

    def finish(self) -> bytes:
        tail = self._frames.decoded(self._rest(), is_tail=True)
        if self._total and self._frames.count < self._total:
            raise Broken("the audio ended before the length that its own header states")
        return tail

    def _past(self, head: Head) -> bytes:
        """Leave tags and a Xing frame behind: a decoder would play that one as silence."""
        assert self._held is not None
        if self._encoding == "flac":
            self._frames.context.extradata = bytes(self._held[8:42])
            self._total = int.from_bytes(self._held[21:26], "big") & 0xF_FFFF_FFFF
        chunk = bytes(self._held[head.start - self._behind :])
        self._held = None
        return chunk

    def _rest(self) -> Iterator[av.Packet[Any] | None]:
        """What the parser still looks ahead for: FLAC's waits for ten frames."""
        while packets := self._frames.context.parse(None):
            yield from packets
        yield None


class OggDecoder:
    """Opus or Vorbis in Ogg: the padding at the end is cut where the last page says."""

    def __init__(self) -> None:
        self._pages = OggReader()
        self._frames: _Frames | None = None
        self._headers: list[bytes] = []
        self._skip = 0

    @property
    def format(self) -> AudioFormat | None:
        return self._frames.format if self._frames is not None else None

    def feed(self, chunk: bytes) -> bytes:
        out = b""
        for packet in self._pages.feed(chunk):
            if self._frames is None:
                self._headers.append(packet.data)
                self._frames = self._opened()
            elif self._is_past_headers(packet.data):
                out += self._decoded(packet)
        return out

    def finish(self) -> bytes:
        if self._pages.is_cut:
            raise Broken("the audio ended in the middle of an Ogg page")
        return b""

    def _decoded(self, packet: Packet) -> bytes:
        import av  # noqa: PLC0415  # loaded when first needed

        assert self._frames is not None
        out = self._frames.decoded([av.Packet(packet.data)])
        if self._pages.ended and packet.granule is not None and self._frames.format is not None:
            over = self._frames.count - (packet.granule - self._skip)
            cut = over * (self._frames.format.channels or 1) * 2
            if 0 < cut <= len(out):
                self._frames.count -= over
                out = out[:-cut]
        return out

    def _opened(self) -> _Frames | None:
        """The codec, once its headers have come: one packet for Opus, three for Vorbis."""
        first, *rest = self._headers
        if first.startswith(b"OpusHead") and len(first) >= 19:
            frames = _Frames("libopus")
            frames.context.extradata = first
            self._skip = int.from_bytes(first[10:12], "little")
            return frames
        if not first.startswith(b"\x01vorbis"):
            raise NotSpeech("the Ogg stream is neither Opus nor Vorbis")
        if len(rest) < 2:
            return None
        frames = _Frames("vorbis")
        frames.context.extradata = _xiph_laced(self._headers)
        return frames

    def _is_past_headers(self, data: bytes) -> bool:
        return not data.startswith((b"OpusTags", b"OpusHead"))


def _xiph_laced(headers: list[bytes]) -> bytes:
    """Vorbis' three headers as one: how FFmpeg's decoder wants them."""
    sizes = b"".join(b"\xff" * (len(h) // 255) + bytes([len(h) % 255]) for h in headers[:-1])
    return b"\x02" + sizes + b"".join(headers)


_PARSED: Mapping[Encoding, tuple[str, int]] = {
    "mp3": ("mp3float", 4),
    "aac": ("aac", 7),
    "flac": ("flac", 0),
}
"""FFmpeg's decoder, and how far before the start of sound its first frame begins."""

DECODES: tuple[Encoding, ...] = ("pcm", "wav", "flac", "opus", "ogg", "mp3", "aac")
"""What can be taken apart here, cheapest first."""

BY_HAND = ("pcm", "wav")
"""What needs no codec to be loaded."""


def decoder(native: AudioFormat) -> Decoder:
    """The decoder for one piece of a provider's audio."""
    if native.encoding == "pcm":
        return PcmDecoder(native)
    if native.encoding == "wav":
        return WavReader()
    if native.encoding in ("opus", "ogg"):
        return OggDecoder()
    return CodecDecoder(native.encoding)
