"""A speech of several pieces, of several providers, is one stream in one container."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from router.audio.pipeline import Pipeline
from router.contract.audio import ENCODINGS, AudioFormat, Encoding
from tests.audio.codings import adts_shapes, coding
from tests.audio.ffmpeg import heard, made, raw
from tests.audio.glide import glide, likeness, pcm, place
from tests.audio.natives import Native, cut, spoken

PIECES = (("pcm", 22_050, 1, 0.211), ("flac", 48_000, 2, 0.333), ("wav", 8_000, 2, 0.257))
"""Kind, rate, channels and seconds: lossless, so that each must sit where the one before ended."""
LIKE = 0.97


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> list[Native]:
    folder = tmp_path_factory.mktemp("pieces")
    natives = []
    for at, (kind, rate, channels, seconds) in enumerate(PIECES):
        frames = round(rate * seconds) | 1
        sound = pcm(glide(frames, rate, channels, start_s=float(at)))
        (body,) = made(kind, [(sound, rate, channels)], folder)
        natives.append(Native(kind, body, rate, channels, frames))
    return natives


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_three_pieces_of_odd_lengths_are_one_speech(
    encoding: Encoding, pieces: list[Native], tmp_path: Path
) -> None:
    dice = random.Random(encoding)
    pipeline = Pipeline(AudioFormat(encoding))
    body, ends = b"", [0]
    for piece in pieces:
        body += spoken(pipeline, piece, dice)
        ends.append(pipeline.frames)
    body += pipeline.finish()
    rate, channels = pipeline.format.sample_rate, pipeline.format.channels
    assert rate
    assert channels == 1, "the first speaker's"
    assert rate == (24_000 if encoding in ("opus", "ogg") else 22_050), "its rate, or the next"
    (sound,) = heard([body], tmp_path, raw(rate, channels) if encoding == "pcm" else ())
    assert sound.frames == coding(encoding).length(ends[-1], rate) * sound.rate // rate
    for at, piece in enumerate(pieces):
        assert abs(ends[at + 1] - ends[at] - piece.frames * rate / piece.rate) < 1
        frames = piece.frames * sound.rate // piece.rate
        wanted = glide(frames, sound.rate, 1, start_s=float(at))
        near = (ends[at] + coding(encoding).delay) * sound.rate // rate
        start = place(sound.samples, wanted, near)
        assert abs(start - near) <= 3, f"piece {at}"
        came = sound.samples[start : start + len(wanted)]
        assert likeness(came, wanted[: len(came)]) > LIKE, f"piece {at}"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_three_pieces_have_one_head(encoding: Encoding, pieces: list[Native]) -> None:
    pipeline = Pipeline(AudioFormat(encoding))
    dice = random.Random(encoding)
    body = b"".join(spoken(pipeline, piece, dice) for piece in pieces) + pipeline.finish()
    if encoding == "aac":
        assert adts_shapes(body) == {(22_050, 1)}
    for word in (b"RIFF", b"WAVE", b"fLaC", b"OpusHead", b"OpusTags"):
        assert body.count(word) == (word in _HEADS.get(encoding, ())), word


_HEADS = {
    "wav": (b"RIFF", b"WAVE"),
    "flac": (b"fLaC",),
    "opus": (b"OpusHead", b"OpusTags"),
    "ogg": (b"OpusHead", b"OpusTags"),
}


@pytest.mark.parametrize("kind", ["mp3", "opus", "ogg", "vorbis", "aac", "flac"])
def test_a_compressed_format_passes_through_byte_for_byte(kind: str, tmp_path: Path) -> None:
    sound = pcm(glide(6_001, 24_000, 1))
    (body,) = made(kind, [(sound, 24_000, 1)], tmp_path)
    native = Native(kind, body, 24_000, 1, 6_001)
    pipeline = Pipeline(native.format, through=True)
    pipeline.begin(native.format)
    came = b"".join(map(pipeline.feed, cut(body, random.Random(kind))))
    assert came + pipeline.end() + pipeline.finish() == body
    assert pipeline.sounded
    told = 48_000 if kind in ("opus", "ogg") else 24_000
    assert (pipeline.format.sample_rate, pipeline.format.channels) == (told, 1)


@pytest.mark.parametrize("encoding", ["wav", "flac"])
def test_a_whole_body_tells_its_true_length(encoding: Encoding, tmp_path: Path) -> None:
    """A player shows the length before it has played; a streamed head cannot know it."""
    sound = pcm(glide(24_001, 24_000, 2))
    pipeline = Pipeline(AudioFormat(encoding))
    pipeline.begin(AudioFormat("pcm", 24_000, 2))
    body = bytearray(pipeline.feed(sound) + pipeline.end() + pipeline.finish())
    streamed, told = bytes(body), {"wav": slice(40, 44), "flac": slice(22, 26)}[encoding]
    pipeline.exact(body)
    assert streamed[told] == (b"\xff" * 4 if encoding == "wav" else bytes(4)), "not known yet"
    true = (24_001 * 4).to_bytes(4, "little") if encoding == "wav" else (24_001).to_bytes(4, "big")
    assert body[told] == true
    before, after = heard([streamed, bytes(body)], tmp_path)
    assert np.array_equal(before.samples, after.samples)
    assert after.frames == 24_001
