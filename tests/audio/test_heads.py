"""The head of a compressed stream tells its rate and where its sound begins, in any cuts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.audio.heads import HeadReader
from router.contract.audio import AudioFormat, Encoding, container_of
from router.contract.errors import NotSpeech
from tests.audio.made import cut, encoded, plain

COMPRESSED: tuple[Encoding, ...] = ("mp3", "aac", "flac", "opus", "ogg")
CASES: list[tuple[Encoding, int, int, tuple[str, ...]]] = [
    ("mp3", 44_100, 2, ()),
    ("mp3", 24_000, 1, ()),
    ("mp3", 16_000, 1, ("-b:a", "32k")),
    ("mp3", 8_000, 1, ("-write_xing", "0")),
    ("mp3", 48_000, 2, ("-id3v2_version", "0")),
    ("mp3", 24_000, 1, ("-metadata", f"comment={'x' * 5_000}")),
    ("aac", 24_000, 1, ()),
    ("aac", 48_000, 2, ()),
    ("flac", 24_000, 1, ()),
    ("flac", 48_000, 2, ()),
    ("opus", 48_000, 1, ()),
    ("opus", 24_000, 2, ()),
    ("ogg", 48_000, 2, ()),
]


def first_sound(body: bytes, encoding: Encoding, sizes: list[int]) -> tuple[int, AudioFormat]:
    """Bytes that had been fed when sound was heard, and what it is."""
    reader = HeadReader(AudioFormat(encoding))
    fed = 0
    for piece in cut(body, sizes):
        reader.feed(piece)
        fed += len(piece)
        if reader.format is not None:
            return fed, reader.format
    raise AssertionError("no sound was heard")


@pytest.mark.parametrize(("encoding", "rate", "channels", "more"), CASES)
def test_a_head_is_read_byte_by_byte_and_in_any_cuts(
    encoding: Encoding, rate: int, channels: int, more: tuple[str, ...]
) -> None:
    body = encoded(encoding, rate, channels, *more)
    told = AudioFormat(encoding, 48_000 if encoding in ("opus", "ogg") else rate, channels)
    start, format = first_sound(body, encoding, [1] * len(body))
    assert format == told
    assert 0 < start < len(body)
    cuts = random.Random(start)
    for _ in range(12):
        sizes = [cuts.randint(1, 700) for _ in range(len(body))]
        fed, format = first_sound(body, encoding, sizes)
        assert format == told
        assert fed >= start, "sound is not heard before it has come"


@pytest.mark.parametrize(("encoding", "rate", "channels", "more"), CASES)
def test_sound_is_not_the_head_alone(
    encoding: Encoding, rate: int, channels: int, more: tuple[str, ...]
) -> None:
    body = encoded(encoding, rate, channels, *more)
    start, _ = first_sound(body, encoding, [1] * len(body))
    reader = HeadReader(AudioFormat(encoding))
    reader.feed(body[: start - 1])
    assert reader.format is None
    assert container_of(body[:12]) == {"opus": "ogg"}.get(encoding, encoding)


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize(
    "body", [b'{"error": {"message": "no"}}' * 4, b"<html>" * 20, plain(), b"\0" * 100]
)
def test_what_is_something_else_is_not_speech(encoding: Encoding, body: bytes) -> None:
    with pytest.raises(NotSpeech):
        first_sound(body, encoding, [64])


def test_a_head_without_end_is_given_up() -> None:
    reader = HeadReader(AudioFormat("mp3"))
    reader.feed(b"ID3\4\0\0\x7f\x7f\x7f\x7f")
    for _ in range(15):
        reader.feed(bytes(65_536))
    with pytest.raises(NotSpeech):
        reader.feed(bytes(131_072))


@given(st.sampled_from(COMPRESSED), st.binary(max_size=120), st.lists(st.integers(1, 9)))
def test_any_bytes_are_read_or_refused_in_words(
    encoding: Encoding, tail: bytes, sizes: list[int]
) -> None:
    starts = {"flac": b"fLaC", "mp3": b"\xff\xfb\x90", "aac": b"\xff\xf1P"}
    for start in (b"", starts.get(encoding, b"OggS\0\2")):
        reader = HeadReader(AudioFormat(encoding))
        try:
            for piece in cut(start + tail, sizes):
                reader.feed(piece)
        except NotSpeech:
            pass  # the words for what is something else
