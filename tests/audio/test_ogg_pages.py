"""Ogg pages of our own making: read by our reader, and by FFmpeg, which checks every checksum."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.audio.codecs import OpusEncoder
from router.audio.ogg import OggReader, Packet
from router.audio.ogg_pages import OggWriter, checksum
from router.contract.audio import AudioFormat


@given(st.lists(st.binary(max_size=1_275), min_size=1, max_size=5))
def test_what_was_put_into_pages_is_read_out_of_them(packets: list[bytes]) -> None:
    writer, reader = OggWriter(), OggReader()
    last = len(packets) - 1
    body = b"".join(
        writer.page(packet, at * 960, is_last=at == last) for at, packet in enumerate(packets)
    )
    assert reader.feed(body) == [Packet(packet, at * 960) for at, packet in enumerate(packets)]
    assert reader.ended
    assert not reader.is_cut


def test_the_checksum_is_that_of_the_polynomial_without_reflection() -> None:
    """Held against the definition (RFC 3533, 6, field 7), a bit at a time."""
    page = bytes(range(256)) * 3 + b"OggS"
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x8000_0000 else crc << 1) & 0xFFFF_FFFF
    assert checksum(page) == crc


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_ffmpeg_reads_every_sample_and_complains_of_nothing(rate: int, channels: int) -> None:
    frame = rate // 50
    for samples in (1, 100, frame - 53, frame, 3 * frame, 3 * frame + 1, rate + 37):
        encoder = OpusEncoder(AudioFormat("opus", rate, channels))
        half = samples // 2 * channels * 2
        sound = bytes(at * 37 % 251 for at in range(samples * channels * 2))
        body = encoder.feed(sound[:half]) + encoder.feed(sound[half:]) + encoder.finish()
        read = subprocess.run(
            ["ffmpeg", "-v", "warning", "-f", "ogg", "-i", "-", "-f", "s16le", "-"],
            input=body,
            capture_output=True,
            check=True,
        )
        assert read.stderr == b""
        assert len(read.stdout) == samples * 48_000 // rate * channels * 2


def test_a_speech_without_samples_is_an_empty_file() -> None:
    assert OpusEncoder(AudioFormat("opus", 24_000, 1)).finish() == b""
