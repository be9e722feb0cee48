"""How much room the audio of a text will take, before anybody has spoken it."""

from __future__ import annotations

from router.contract.audio import AudioFormat, Encoding
from router.contract.errors import InputTooLong, UnsupportedFormat, listed

WAV_MOST_BYTES = 2**32 - 1
"""A RIFF file counts its bytes in 32 bits."""
UNBOUNDED: tuple[Encoding, ...] = ("mp3", "opus", "ogg", "aac", "flac", "pcm")
"""Formats without such a limit."""
_HEADER_BYTES = 44
_SAMPLE_BYTES = 2
_RATE, _CHANNELS = 48_000, 2
"""Of a speaker that does not say: the most that any of ours has."""
_KEPT_BYTES_S = 40_000
"""A second of speech as FLAC: 24 kHz mono takes 20 to 30 kB (measured), 48 kHz some more."""
_CODED_BYTES_S = 16_000
"""128 kbit/s: as much as any compressed format of ours takes."""


def wav_bytes(seconds: float, format: AudioFormat) -> int:
    """The size of a WAV, header included."""
    return _HEADER_BYTES + round(seconds * _plain_bytes_s(format))


def check_wav(seconds: float, format: AudioFormat) -> None:
    """Refuse a WAV that cannot hold so much audio.

    Raises:
        UnsupportedFormat: it names the formats that can.
    """
    if format.encoding == "wav" and wav_bytes(seconds, format) > WAV_MOST_BYTES:
        raise UnsupportedFormat(
            f"A WAV holds at most 4 GiB, and this may last {seconds / 3600:.1f} hours. "
            f"Formats that can hold it: {listed(UNBOUNDED)}.",
            param="response_format",
        )


def needed_bytes(seconds: float, format: AudioFormat) -> int:
    """Room for the pieces and for the finished file beside them."""
    plain = format.encoding in ("wav", "pcm")
    coded = _plain_bytes_s(format) if plain else _CODED_BYTES_S
    if format.encoding == "flac":
        coded = _KEPT_BYTES_S
    return round(seconds * (_KEPT_BYTES_S + coded))


def check_room(needs_bytes: int, most_bytes: int) -> None:
    """Refuse what would never fit. Raises InputTooLong."""
    if needs_bytes > most_bytes:
        raise InputTooLong(
            f"This job needs about {needs_bytes / 2**30:.1f} GiB; all jobs together have "
            f"{most_bytes / 2**30:.1f} GiB. Send it in parts, or ask for a compressed format.",
            param="input",
        )


def _plain_bytes_s(format: AudioFormat) -> int:
    return (format.sample_rate or _RATE) * (format.channels or _CHANNELS) * _SAMPLE_BYTES
