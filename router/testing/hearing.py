"""One speech, heard to its end, and what its bytes say about themselves."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

import msgspec

from router.contract.audio import AudioFormat, Container, container_of
from router.contract.provider import Provider
from router.contract.speech import SpeechOrder
from router.testing.subject import patience

CONTAINERS: dict[str, Container] = {
    "wav": "wav",
    "mp3": "mp3",
    "opus": "ogg",
    "ogg": "ogg",
    "aac": "aac",
    "flac": "flac",
}


class Heard(msgspec.Struct, frozen=True):
    """A speech as it came."""

    format: AudioFormat
    chunks: Sequence[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def sound_bytes(self) -> int:
        """What is left when the header of a wav is taken off."""
        body = self.body
        if self.format.encoding != "wav":
            return len(body)
        header = wav_header(body)
        return len(body) - header.data_at if header else 0


class WavHeader(msgspec.Struct, frozen=True):
    sample_rate: int
    channels: int
    bits: int
    data_at: int


async def hear(
    provider: Provider, order: SpeechOrder, format: AudioFormat, patience_s: float
) -> Heard:
    """Listen to the end, with a turn of the loop for each chunk."""
    chunks: list[bytes] = []
    async with patience(patience_s, "a speech"), provider.synthesize(order, format) as stream:
        async for chunk in stream.chunks:
            chunks.append(chunk)
            await asyncio.sleep(0)
        return Heard(stream.format, chunks)


def wav_header(body: bytes) -> WavHeader | None:
    """Walk the RIFF chunks up to the sound; `None` where there is no such header."""
    if container_of(body) != "wav":
        return None
    at, rate, channels, bits = 12, 0, 0, 0
    while at + 8 <= len(body):
        name, size = struct.unpack_from("<4sI", body, at)
        at += 8
        if name == b"data":
            return WavHeader(rate, channels, bits, at) if rate else None
        if name == b"fmt " and at + 16 <= len(body):
            channels, rate, bits = struct.unpack_from("<2xHI6xH", body, at)
        at += size + size % 2
    return None


def mistake_in(heard: Heard, wanted: AudioFormat) -> str:
    """Why the bytes are not what was asked for; empty if they are."""
    told = heard.format
    if not wanted.admits(told):
        return f"{wanted} was asked for and {told} was told"
    found = container_of(heard.body[:12])
    if told.encoding == "pcm":
        return _mistake_in_pcm(heard, found)
    if found != CONTAINERS[told.encoding]:
        return f"{told} was told and the bytes begin like {found or 'nothing known'}"
    if told.encoding == "wav":
        return _mistake_in_wav(heard)
    return ""


def _mistake_in_pcm(heard: Heard, found: Container | None) -> str:
    told = heard.format
    if told.sample_rate is None or told.channels is None:
        return "a pcm must tell its rate and its channels: it has no header that could"
    # Samples may look like an MPEG frame by accident, but hardly like a magic word.
    if found in ("wav", "ogg", "flac", "m4a") or heard.body[:3] == b"ID3":
        return f"a pcm begins with the header of a {found}"
    if len(heard.body) % (2 * told.channels):
        return f"a pcm of {told.channels} channels ends inside a frame"
    return ""


def _mistake_in_wav(heard: Heard) -> str:
    header, told = wav_header(heard.body), heard.format
    if header is None:
        return "a wav has no fmt and data chunk"
    inside = AudioFormat("wav", header.sample_rate, header.channels)
    return "" if told.admits(inside) else f"{told} was told and its header says {inside}"
