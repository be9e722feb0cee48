"""Clips that are made here: something like a voice, in every container that is read."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import av
import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]


class Recipe(NamedTuple):
    """How PyAV makes a clip of one kind."""

    container: Literal["mp3", "wav", "flac", "aac", "m4a", "ogg"]
    muxer: str
    codec: str
    sample_format: str
    options: dict[str, str]


RECIPES = {
    "mp3": Recipe("mp3", "mp3", "libmp3lame", "fltp", {}),
    "wav": Recipe("wav", "wav", "pcm_s16le", "s16", {}),
    "wav of floats": Recipe("wav", "wav", "pcm_f32le", "flt", {}),
    "wav of bytes": Recipe("wav", "wav", "pcm_u8", "u8", {}),
    "wav of 24 bits": Recipe("wav", "wav", "pcm_s24le", "s32", {}),
    "wav of A-law": Recipe("wav", "wav", "pcm_alaw", "s16", {}),
    "flac": Recipe("flac", "flac", "flac", "s16", {}),
    "adts": Recipe("aac", "adts", "aac", "fltp", {}),
    "m4a of AAC": Recipe("m4a", "ipod", "aac", "fltp", {}),
    "m4a of ALAC": Recipe("m4a", "ipod", "alac", "s16p", {}),
    "mp4 of AAC": Recipe("m4a", "mp4", "aac", "fltp", {}),
    "ogg of Vorbis": Recipe("ogg", "ogg", "vorbis", "fltp", {"strict": "experimental"}),
    "ogg of Opus": Recipe("ogg", "ogg", "libopus", "flt", {}),
}


def voice(seconds: float, rate: int = 48_000, *, channels: int = 1, peak: float = 0.5) -> Samples:
    """[channels, frames]: harmonics on a gliding pitch, four syllables a second, with a breath
    after each second."""
    t = np.arange(int(seconds * rate)) / rate
    glide = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 0.7 * t)) / rate
    tone = sum(np.sin(n * glide) / n for n in range(1, 8))
    loud = (0.3 + 0.7 * np.abs(np.sin(2 * np.pi * 2 * t))) * (t % 1 < 0.9)
    mono = tone * loud
    mono *= peak / max(float(np.abs(mono).max(initial=0)), 1e-9)
    return np.tile(mono.astype(np.float32), (channels, 1))


def silence(seconds: float, rate: int = 48_000) -> Samples:
    return np.zeros((1, int(seconds * rate)), np.float32)


def encoded(samples: Samples, kind: str, rate: int = 48_000, **options: str) -> bytes:
    """A file of one of the `RECIPES`."""
    recipe = RECIPES[kind]
    if recipe.codec == "vorbis" and len(samples) == 1:
        samples = np.tile(samples, (2, 1))  # FFmpeg's own encoder knows stereo alone
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
    file = io.BytesIO()
    with av.open(file, "w", format=recipe.muxer, options={**recipe.options, **options}) as out:
        stream = out.add_stream(recipe.codec, rate=rate, options=recipe.options)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        stream.format = recipe.sample_format
        for frame in _frames(samples, recipe.sample_format, layout, rate):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def _frames(samples: Samples, fmt: str, layout: str, rate: int) -> Iterator[av.AudioFrame]:
    resampler = av.AudioResampler(format=fmt, layout=layout, rate=rate)
    for start in range(0, samples.shape[1], 8192):
        piece = np.ascontiguousarray(samples[:, start : start + 8192])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.pts = start
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def with_cover(file: bytes) -> bytes:
    """The same mp3 or flac with a picture in it."""
    picture = _picture()
    if file[:4] == b"fLaC":
        about = struct.pack(">I", 3) + struct.pack(">I", 10) + b"image/jpeg" + bytes(4)
        about += struct.pack(">IIII", 64, 64, 24, 0) + struct.pack(">I", len(picture)) + picture
        info = file[4:42]  # STREAMINFO is first and of this length (RFC 9639, 8.2)
        is_last, info = info[0] & 0x80, bytes([info[0] & 0x7F]) + info[1:]
        block = bytes([6 | is_last]) + len(about).to_bytes(3, "big") + about
        return file[:4] + info + block + file[42:]
    body = b"\0image/jpeg\0\x03\0" + picture
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame + file


def film() -> bytes:
    """An MP4 with a picture and nothing to hear."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(25):
            out.mux(stream.encode(_frame()))
        out.mux(stream.encode(None))
    return file.getvalue()


def _picture() -> bytes:
    """A small JPEG."""
    codec = av.CodecContext.create("mjpeg", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width = codec.height = 64
    codec.pix_fmt = "yuvj420p"
    codec.time_base = Fraction(1, 25)
    return b"".join(bytes(packet) for packet in codec.encode(_frame("yuvj420p")))


def _frame(fmt: str = "yuv420p") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((96, 64), 90, np.uint8), format=fmt)
