"""How sound is named: formats, streams of it, and what a file's first bytes say that it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal, get_args

import msgspec

Encoding = Literal["wav", "pcm", "mp3", "opus", "ogg", "aac", "flac"]
"""`pcm` is headerless signed 16-bit little-endian, channels interleaved. `opus` and `ogg` are Opus
in Ogg pages."""

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

Container = Literal["wav", "mp3", "ogg", "flac", "aac", "m4a"]
"""What can be told from magic bytes alone. Raw PCM has none."""


class AudioFormat(msgspec.Struct, frozen=True):
    """An encoding with its sample rate in hertz and its channel count; `None` means «as the speaker
    has it».

    Asked for, a `None` is freedom. Delivered, it means that nobody looked (a compressed body passed
    through). A `pcm` that is delivered always states both: it has no header that could.
    """

    encoding: Encoding
    sample_rate: int | None = None
    channels: int | None = None

    def admits(self, other: AudioFormat) -> bool:
        """Whether `other` is what this format asks for: same encoding, and equal wherever this one
        is not `None`.

        Opus in Ogg answers a wish for `ogg`; an `ogg` of unknown codec does not answer a wish for
        `opus`.
        """
        same = self.encoding == other.encoding or (self.encoding, other.encoding) == ("ogg", "opus")
        return (
            same
            and self.sample_rate in (None, other.sample_rate)
            and self.channels in (None, other.channels)
        )

    def __str__(self) -> str:
        rate = f" {self.sample_rate} Hz" if self.sample_rate else ""
        channels = {None: "", 1: " mono", 2: " stereo"}.get(self.channels, f" {self.channels} ch")
        return f"{self.encoding}{rate}{channels}"


class AudioStream:
    """Speech on its way out of a provider, in exactly the format that was asked for.

    `chunks` gives non-empty bytes, cut anywhere (also inside a sample). It may be iterated once.
    When it ends, what is scarce (a child, a place in a batch) is given back, for the caller may
    still be listening. It holds nothing that needs closing: leaving `Provider.synthesize` lets go
    of everything, at any moment.
    """

    __slots__ = ("chunks", "format", "framed", "tokens", "upstream_id", "voice")

    def __init__(
        self,
        format: AudioFormat,
        chunks: AsyncIterator[bytes],
        *,
        framed: bool = True,
        voice: str | None = None,
        upstream_id: str | None = None,
    ) -> None:
        self.format = format
        self.chunks = chunks
        self.framed = framed
        """False where the transport cannot tell a whole body from a cut one (no length, no
        chunks)."""
        self.voice = voice
        """The voice that really speaks, where the provider chose it itself."""
        self.upstream_id = upstream_id
        """The upstream's own id of this synthesis, for support requests."""
        self.tokens: int | None = None
        """What the upstream says that it billed; set by the provider once it knows, at the latest
        with the end of `chunks`."""


class Clip(msgspec.Struct, frozen=True, eq=False):
    """A voice sample to clone: the file as it was uploaded, and what it sounds like once somebody
    has decoded it. Neither appears in any repr, log or file.

    A clip is compared by identity, because arrays of samples cannot be compared by `==`.
    """

    data: bytes
    container: Container
    seconds: float | None = None
    """How long it lasts; `None`: it was not decoded."""
    samples: Any = None
    """A numpy array, float32 [2, frames] at 48 kHz, -1..1; `None`: it was not decoded."""
    clips: bool = False
    """Whether it was recorded too loud, so that its peaks are cut off."""

    def __repr__(self) -> str:
        lasts = "" if self.seconds is None else f", {self.seconds:.1f} s"
        return f"Clip({self.container}, {len(self.data)} bytes{lasts})"


def container_of(head: bytes) -> Container | None:
    """Tell a container by the magic bytes at the start of a file; 12 bytes are enough, `None` means
    unknown.

    MPEG audio without an ID3 tag is told by its frame header: eleven sync bits, then a layer that
    is not reserved (ISO/IEC 11172-3, 2.4.1.3). ADTS has the same sync and layer zero (ISO/IEC
    13818-7, 6.2).
    """
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"fLaC":
        return "flac"
    if head[4:8] == b"ftyp":
        return "m4a"
    if head[:3] == b"ID3":
        return "mp3"
    if len(head) >= 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        if head[1] & 0xF6 == 0xF0:
            return "aac"
        version_is_known = head[1] & 0x18 != 0x08
        layer_is_known = head[1] & 0x06 != 0
        bitrate_is_known = head[2] & 0xF0 != 0xF0
        if version_is_known and layer_is_known and bitrate_is_known:
            return "mp3"
    return None
