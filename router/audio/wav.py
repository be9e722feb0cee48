"""WAV by hand: 44 bytes of header out, and a reader that takes any true, zero or endless sizes."""

from __future__ import annotations

import struct

from router.contract.audio import AudioFormat, container_of
from router.contract.errors import Broken, NotSpeech

ENDLESS = 0xFFFF_FFFF
"""The size that a streamed WAV states, as OpenAI's does: nobody knows it yet."""

_UNKNOWN_FROM = 0x7FFF_0000
"""Sizes from here on mean «endless», too: sox and espeak-ng write 0x7ffff000 into a pipe."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_KINDS = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "i3",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}
"""How samples are stored, by format tag and bits; numpy has no word for 24 bits."""
_WIDTHS = {"u1": 1, "i3": 3, "<i4": 4, "<f4": 4, "<f8": 8}
_MOST_HEADER = 1_048_576


def header(sample_rate: int, channels: int, data_bytes: int | None) -> bytes:
    """A 44-byte header for signed 16-bit PCM; `None` states endless sizes, for a stream.

    Plain format 1, `data` right behind it: Python's `wave` reads no other (3.11).
    """
    block = channels * 2
    data = ENDLESS if data_bytes is None else data_bytes
    riff = ENDLESS if data_bytes is None else data_bytes + 36
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff, b"WAVE", b"fmt ", 16, _PCM, channels),
        *(sample_rate, sample_rate * block, block, 16, b"data", data),
    )


class WavReader:
    """Takes a WAV apart as it arrives: feed it bytes, get the 16-bit PCM inside.

    `format` is known once the header has been read. Sizes of zero or 0xFFFFFFFF mean «until the
    end»; a true size that is not reached is an error, and what comes after it is not audio.
    """

    def __init__(self) -> None:
        self.format: AudioFormat | None = None
        self._head = bytearray()
        self._left: int | None = None
        self._kind = "<i2"
        self._part = b""

    def feed(self, chunk: bytes) -> bytes:
        """Bytes of the file in, PCM out.

        Raises:
            NotSpeech: this is no WAV, or its samples are neither PCM nor floating-point.
        """
        if self.format is None:
            self._head += chunk
            chunk = self._past_header()
        if self._left is not None:
            chunk = chunk[: self._left]
            self._left -= len(chunk)
        if self._kind == "<i2":
            return chunk
        whole = self._part + chunk
        spare = len(whole) % _WIDTHS[self._kind]
        self._part = whole[len(whole) - spare :]
        return _as_16_bit(whole[: len(whole) - spare], self._kind)

    def finish(self) -> bytes:
        """The file is at its end. Raises Broken when its own size says that there was more."""
        if self.format is not None and self._left:
            raise Broken("the audio ended before the length that its own header states")
        return b""

    def _past_header(self) -> bytes:
        """Walk the chunks of the head up to `data`; b"" while it is not all there."""
        head = self._head
        if len(head) < 12:
            return b""
        if container_of(bytes(head[:12])) != "wav":
            raise NotSpeech("what came is not a WAV file")
        at = 12
        found: AudioFormat | None = None
        while len(head) >= at + 8:
            name, size = bytes(head[at : at + 4]), int.from_bytes(head[at + 4 : at + 8], "little")
            if name == b"data":
                if found is None:
                    raise NotSpeech("the WAV has audio before its format")
                return self._opened(found, at + 8, size)
            if size > _MOST_HEADER:
                raise NotSpeech("the WAV has no audio in its first MiB")
            if name == b"fmt " and len(head) >= at + 8 + size:
                found, self._kind = _format(bytes(head[at + 8 : at + 8 + size]))
            at += 8 + size + size % 2
        if at > _MOST_HEADER:
            raise NotSpeech("the WAV has no audio in its first MiB")
        return b""

    def _opened(self, format: AudioFormat, start: int, size: int) -> bytes:
        self.format = format
        self._left = None if size == 0 or size >= _UNKNOWN_FROM else size
        rest = bytes(self._head[start:])
        self._head.clear()
        return rest


def _format(fields: bytes) -> tuple[AudioFormat, str]:
    """What the samples are, and how they are stored."""
    if len(fields) < 16:
        raise NotSpeech("the WAV's format is cut short")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", fields)
    if tag == _EXTENSIBLE and len(fields) >= 26:
        tag = int.from_bytes(fields[24:26], "little")
    kind = _KINDS.get((tag, bits))
    if kind is None:
        raise NotSpeech(f"the WAV has samples of an unknown kind (format {tag}, {bits} bits)")
    if not 1 <= channels <= 8 or not 1_000 <= rate <= 384_000:
        raise NotSpeech(f"the WAV states {channels} channels at {rate} Hz")
    return AudioFormat("wav", rate, channels), kind


def _as_16_bit(data: bytes, kind: str) -> bytes:
    """Whole samples of another kind as signed 16-bit ones; the low bits of wider ones are cut."""
    import numpy as np  # noqa: PLC0415  # few WAVs need it

    if kind == "i3":
        return np.frombuffer(data, np.uint8).reshape(-1, 3)[:, 1:].tobytes()
    samples = np.frombuffer(data, kind)
    if kind == "u1":
        return ((samples.astype("<i2") - 128) << 8).astype("<i2").tobytes()
    if kind == "<i4":
        return (samples >> 16).astype("<i2").tobytes()
    level = np.clip(np.nan_to_num(samples), -1.0, 1.0)
    return bytes(np.minimum(np.rint(level * 32_768.0), 32_767).astype("<i2").tobytes())
