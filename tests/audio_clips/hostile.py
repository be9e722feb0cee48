"""Clips that nobody should have to decode, and good ones that were spoilt."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import NamedTuple, get_args

import numpy as np

from router.contract.audio import Container
from tests.audio_clips.sounds import RECIPES, Samples, encoded, silence, voice

CONTAINERS: tuple[Container, ...] = get_args(Container)
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Body(NamedTuple):
    name: str
    container: Container
    data: bytes


def seeds() -> list[Body]:
    """Small good clips in every container."""
    return [
        Body(kind, recipe.container, encoded(voice(1.6), kind)) for kind, recipe in RECIPES.items()
    ]


def playlists(port: int) -> Iterator[Body]:
    """Texts that make FFmpeg open something else, where it is let; under every label."""
    url = f"127.0.0.1:{port}"
    texts = {
        "SDP": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=audio {port} RTP/AVP 0\n",
        "HLS": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://{url}/a.ts\n#EXT-X-ENDLIST\n",
        "HLS of a file": "#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile 'http://{url}/a.wav'\nfile '/etc/passwd'\n",
        "concat URL": f"concat:http://{url}/a.wav|/etc/passwd",
        "data URI": "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEA",
        "DASH": f"<MPD><Period><BaseURL>http://{url}/</BaseURL></Period></MPD>",
        "a shell": "#!/bin/sh\ntouch /tmp/x\n",
    }
    for name, text in texts.items():
        for container in CONTAINERS:
            yield Body(f"{name} as {container}", container, text.encode())
            dressed = _MAGIC[container] + text.encode()
            yield Body(f"{name} behind the magic of {container}", container, dressed)


_MAGIC: dict[Container, bytes] = {
    "wav": b"RIFF\xff\xff\xff\xffWAVE",
    "mp3": b"ID3\x03\x00\x00\x00\x00\x00\x00",
    "ogg": b"OggS\x00\x02",
    "flac": b"fLaC",
    "aac": b"\xff\xf1\x50\x80",
    "m4a": b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A isom",
}


def references(port: int) -> Iterator[Body]:
    """MP4 files whose samples are said to be in another file."""
    good = encoded(voice(1.6), "m4a of AAC")
    url = f"http://127.0.0.1:{port}/a.mp4".encode() + b"\0"
    yield Body("dref url", "m4a", _with_dref(good, b"url ", url))
    yield Body("dref file", "m4a", _with_dref(good, b"url ", b"file:///etc/passwd\0"))
    yield Body("dref urn", "m4a", _with_dref(good, b"urn ", b"urn:x\0" + url))
    for path in (b"/etc/passwd", url):
        yield Body("dref alias", "m4a", _with_dref(good, b"alis", _alias(path)))


def _with_dref(file: bytes, kind: bytes, payload: bytes) -> bytes:
    """Put another data reference into an MP4 that has its `moov` at its end, so that no offset
    moves."""
    entry = struct.pack(">I4sI", 12 + len(payload), kind, 0) + payload
    dref = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    path = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]
    starts, at = [], 0
    for name in path:
        at = file.index(name, at) - 4
        starts.append(at)
        at += 8
    old = struct.unpack_from(">I", file, starts[-1])[0]
    spoilt = bytearray(file)
    for start in starts[:-1]:
        size = struct.unpack_from(">I", file, start)[0] + len(dref) - old
        struct.pack_into(">I", spoilt, start, size)
    spoilt[starts[-1] : starts[-1] + old] = dref
    return bytes(spoilt)


def _alias(path: bytes) -> bytes:
    """An alias record as QuickTime has it: FFmpeg takes the path of type 2 for where to look."""
    fixed = bytes(10) + b"\x01v" + bytes(26) + bytes(12) + b"\x01f" + bytes(62) + bytes(16)
    levels = struct.pack(">HH", 1, 1) + bytes(16)
    return fixed + levels + struct.pack(">HH", 2, len(path)) + path + b"\0" * 64


def bombs() -> Iterator[Body]:
    """Small files that claim or contain far too much."""
    yield Body("an hour of flac", "flac", encoded(silence(3600, 8000), "flac", 8000))
    # A frame that is repeated is as good as a long recording.
    for kind in ("mp3", "adts"):
        piece = encoded(silence(4), kind)
        yield Body(f"ten minutes of {kind}", RECIPES[kind].container, piece * 150)
    loud = encoded(voice(1.6), "wav")
    for name, at, value in (
        ("a data chunk of four GiB", loud.index(b"data") + 4, b"\xff\xff\xff\xff"),
        ("65,535 channels", 22, b"\xff\xff"),
        ("no channel", 22, b"\0\0"),
        ("four billion hertz", 24, b"\xff\xff\xff\xff"),
        ("no hertz", 24, b"\0\0\0\0"),
        ("no bits", 32, b"\0\0\0\0"),
        ("65,535 bits", 32, b"\xff\xff\xff\xff"),
    ):
        yield Body(f"wav with {name}", "wav", loud[:at] + value + loud[at + len(value) :])
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, 1 << 62, 1 << 62, 1 << 62, 0)
    yield Body("an RF64 of four exabytes", "wav", b"RF64" + loud[4:12] + sizes + loud[12:])
    yield Body("atoms in atoms", "m4a", _MAGIC["m4a"] + _nested(b"moov", 20_000))
    m4a = encoded(voice(1.6), "m4a of AAC")
    for name, table, at in (
        ("samples", b"stsz", 12),
        ("times", b"stts", 8),
        ("chunks", b"stco", 8),
    ):
        start = m4a.index(table) + at - 4
        for count in (0x7FFFFFFF, 0xFFFFFFFF, 0x10000000):
            spoilt = m4a[:start] + struct.pack(">I", count) + m4a[start + 4 :]
            yield Body(f"m4a of {count} {name}", "m4a", spoilt)
    dice = np.random.default_rng(7)
    for container in CONTAINERS:
        noise = dice.bytes(65_536)
        yield Body(f"noise as {container}", container, noise)
        yield Body(f"noise behind {container}", container, _MAGIC[container] + noise)
        yield Body(f"nothing as {container}", container, b"")
        yield Body(f"only the magic of {container}", container, _MAGIC[container])


def _nested(name: bytes, depth: int) -> bytes:
    """Each atom is said to be larger than the next, which is inside it."""
    return b"".join(struct.pack(">I4s", 8 * (depth - n), name) for n in range(depth))


def mislabelled(clips: list[Body]) -> Iterator[Body]:
    for body in clips:
        for container in CONTAINERS:
            if container != body.container:
                yield Body(f"{body.name} as {container}", container, body.data)


def truncated(clips: list[Body]) -> Iterator[Body]:
    for body in clips:
        for parts in (1, 3, 6):
            cut = body.data[: len(body.data) * parts // 8]
            yield Body(f"{parts} eighths of {body.name}", body.container, cut)


def mutated(clips: list[Body], count: int, seed: int) -> Iterator[Body]:
    """Good clips with something wrong in them, most of it near the head, where the tables are."""
    dice = random.Random(seed)
    for n in range(count):
        body = dice.choice(clips)
        data = bytearray(body.data)
        for _ in range(dice.choice((1, 1, 2, 4, 16, 64))):
            _spoil(data, dice, clips)
        yield Body(f"{body.name}, mutation {n}", body.container, bytes(data))


def _spoil(data: bytearray, dice: random.Random, clips: list[Body]) -> None:
    size = len(data)
    if size < 16:
        return
    reach = dice.choice((64, 512, 4096, size))
    at = dice.randrange(min(reach, size - 8))
    if dice.random() < 0.2:
        at = size - 8 - at  # an MP4 may have its tables at its end
    length = dice.choice((1, 4, 8, 64, 1024))
    match dice.randrange(7):
        case 0:
            data[at] ^= 1 << dice.randrange(8)
        case 1:
            order = dice.choice("<>")
            data[at : at + 4] = struct.pack(order + "I", dice.choice(_INTERESTING))
        case 2:
            data[at : at + length] = dice.randbytes(length)
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = data[at : at + length]
        case 5:
            other = dice.choice(clips).data
            start = dice.randrange(len(other))
            data[at : at + length] = other[start : start + length]
        case _:
            del data[max(16, dice.randrange(size)) :]


def noise(seconds: float, level: float) -> Samples:
    """White noise, [1, frames], with this root mean square."""
    dice = np.random.default_rng(3)
    return (dice.standard_normal((1, int(seconds * 48_000))) * level).astype(np.float32)
