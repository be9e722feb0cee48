"""Encoders: each is opened for one format, fed by all pieces of a speech, and finished once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from router.audio.codecs import FrameEncoder, OpusEncoder, flac_exact
from router.audio.wav import header
from router.contract.audio import AudioFormat, Encoding


class Encoder(Protocol):
    """From 16-bit PCM at the format's rate and channels to the format's bytes.

    A container's header comes with the first feed, so that nothing leaves before there is audio.
    """

    def feed(self, pcm: bytes) -> bytes:
        """Whole frames in; what the codec can give now out."""
        ...

    def finish(self) -> bytes:
        """The tail: after it not one sample is left inside."""
        ...


class PcmEncoder:
    """Headerless: the samples themselves."""

    def __init__(self, format: AudioFormat) -> None:
        del format

    def feed(self, pcm: bytes) -> bytes:
        return pcm

    def finish(self) -> bytes:
        return b""


class WavEncoder:
    """A WAV whose length nobody knows yet: its sizes say «endless» until `exact` puts true ones."""

    def __init__(self, format: AudioFormat) -> None:
        self._head = _header(format, None)

    def feed(self, pcm: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + pcm if head else pcm

    def finish(self) -> bytes:
        head, self._head = self._head, b""
        return head


def exact(body: bytearray, format: AudioFormat, frames: int) -> None:
    """Give a body that is held whole the header with its true sizes, in place."""
    if format.encoding == "wav":
        head = _header(format, 0)
        body[: len(head)] = _header(format, len(body) - len(head))
    elif format.encoding == "flac":
        flac_exact(body, frames)


def _header(format: AudioFormat, data_bytes: int | None) -> bytes:
    assert format.sample_rate is not None
    assert format.channels is not None
    return header(format.sample_rate, format.channels, data_bytes)


ENCODERS: Mapping[Encoding, Callable[[AudioFormat], Encoder]] = {
    "pcm": PcmEncoder,
    "wav": WavEncoder,
    "mp3": FrameEncoder,
    "aac": FrameEncoder,
    "flac": FrameEncoder,
    "opus": OpusEncoder,
    "ogg": OpusEncoder,
}
"""What the router can make itself: every format that it can name."""
