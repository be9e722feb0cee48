"""A WAV is read wherever it is cut, and its sizes are believed only where they can be."""

from __future__ import annotations

import io
import wave
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.audio.wav import WavReader, header
from router.contract.audio import AudioFormat
from router.contract.errors import Broken, NotSpeech
from tests.audio.made import ENDLESS, SAMPLES, chunk, cut, encoded, fmt, plain, wav


def read(*pieces: bytes) -> tuple[AudioFormat | None, bytes]:
    reader = WavReader()
    pcm = b"".join(reader.feed(piece) for piece in pieces)
    reader.finish()
    return reader.format, pcm


LISTED = wav(
    chunk(b"JUNK", b"x" * 7),
    chunk(b"fmt ", fmt(8_000, 2) + b"\0\0"),
    chunk(b"LIST", b"INFOISFT" + b"y" * 13),
    chunk(b"data", SAMPLES),
    chunk(b"LIST", b"not audio"),
)
GUID = b"\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
EXTENSIBLE = wav(
    chunk(
        b"fmt ", fmt(48_000, 2, 0xFFFE) + b"\x16\0\x10\0\3\0\0\0\1\0\0\0"[:10] + b"\1\0\0\0" + GUID
    ),
    chunk(b"data", SAMPLES),
)


@pytest.mark.parametrize(
    ("body", "format"),
    [
        (plain(), AudioFormat("wav", 24_000, 1)),
        (LISTED, AudioFormat("wav", 8_000, 2)),
        (EXTENSIBLE, AudioFormat("wav", 48_000, 2)),
    ],
)
def test_a_wav_reads_the_same_at_every_cut(body: bytes, format: AudioFormat) -> None:
    for at in range(len(body) + 1):
        assert read(body[:at], body[at:]) == (format, SAMPLES)
    assert read(*cut(body, [1] * len(body))) == (format, SAMPLES)


@given(st.lists(st.integers(1, 40)))
def test_a_wav_reads_the_same_in_any_pieces(sizes: list[int]) -> None:
    assert read(*cut(LISTED, sizes))[1] == SAMPLES


@pytest.mark.parametrize("size", [0, ENDLESS])
def test_a_size_that_nobody_knew_means_until_the_end(size: int) -> None:
    assert read(plain(size))[1] == SAMPLES
    assert read(plain(size)[:100])[1] == SAMPLES[:56]


def test_the_size_that_other_streaming_encoders_state_means_until_the_end_too() -> None:
    # sox and espeak-ng write 0x7ffff000 into a pipe, others 0x7fffffff.
    for size in (0x7FFF_F000, 0x7FFF_FFFF):
        assert read(plain(size))[1] == SAMPLES


@pytest.mark.parametrize("more", [1, 2, 100_000])
def test_a_wav_that_ends_before_its_own_length_is_broken(more: int) -> None:
    with pytest.raises(Broken):
        read(plain(len(SAMPLES) + more))


def test_what_comes_after_the_stated_length_is_no_audio() -> None:
    assert read(plain(10))[1] == SAMPLES[:10]
    assert read(plain(11))[1] == SAMPLES[:11]
    assert read(plain() + b"a tail")[1] == SAMPLES


def test_a_header_alone_has_no_sound_and_no_fault() -> None:
    assert read(plain(0, b"")) == (AudioFormat("wav", 24_000, 1), b"")
    assert read(plain()[:30]) == (None, b"")
    assert read() == (None, b"")


@pytest.mark.parametrize(
    "body",
    [
        b"ID3\4" + bytes(60),
        b'{"error": "no"}' + bytes(60),
        wav(chunk(b"data", SAMPLES)),
        wav(chunk(b"fmt ", fmt()[:14]), chunk(b"data", SAMPLES)),
        wav(chunk(b"fmt ", fmt(tag=3, bits=16)), chunk(b"data", SAMPLES)),
        wav(chunk(b"fmt ", fmt(tag=7, bits=8)), chunk(b"data", SAMPLES)),
        wav(chunk(b"fmt ", fmt(bits=12)), chunk(b"data", SAMPLES)),
        wav(chunk(b"fmt ", fmt(channels=9)), chunk(b"data", SAMPLES)),
        wav(chunk(b"fmt ", fmt(channels=0)), chunk(b"data", SAMPLES)),
        wav(chunk(b"fmt ", fmt(rate=1)), chunk(b"data", SAMPLES)),
        wav(chunk(b"fmt ", fmt()), chunk(b"LIST", b"", ENDLESS), chunk(b"data", SAMPLES)),
    ],
)
def test_what_is_no_wav_of_pcm_is_not_speech(body: bytes) -> None:
    with pytest.raises(NotSpeech):
        read(body)
    with pytest.raises(NotSpeech):
        read(*cut(body, [1] * len(body)))


def test_a_head_without_end_is_not_kept_for_ever() -> None:
    reader = WavReader()
    reader.feed(wav(chunk(b"fmt ", fmt())))
    for _ in range(15):
        reader.feed(chunk(b"JUNK", bytes(65_536)))
    with pytest.raises(NotSpeech):
        reader.feed(chunk(b"JUNK", bytes(131_072)))


@given(st.binary(max_size=200), st.lists(st.integers(1, 9)))
def test_any_bytes_are_read_or_refused_in_words(body: bytes, sizes: list[int]) -> None:
    for start in (b"", plain()[:36]):
        with suppress(NotSpeech, Broken):
            read(*cut(start + body, sizes))


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (24_000, 1), (48_000, 2)])
def test_a_header_is_what_pythons_wave_reads(rate: int, channels: int) -> None:
    data = SAMPLES
    with wave.open(io.BytesIO(header(rate, channels, len(data)) + data)) as file:
        assert file.getparams()[:4] == (channels, 2, rate, len(data) // 2 // channels)
        assert file.readframes(10**6) == data
    assert header(rate, channels, None)[40:] == b"\xff\xff\xff\xff"
    assert len(header(rate, channels, None)) == 44


def test_ffmpegs_own_wav_is_read_to_its_last_sample() -> None:
    for more in ((), ("-fflags", "+bitexact")):
        format, pcm = read(*cut(encoded("wav", 24_000, 2, *more), [7] * 30))
        assert format == AudioFormat("wav", 24_000, 2)
        assert len(pcm) == 48_000
