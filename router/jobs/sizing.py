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
_FLAC = {1: 0.6, 2: 0.4}
"""What FLAC leaves of speech, by its channels: of two that are alike it keeps one."""
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


def needed_bytes(seconds: float, kept: AudioFormat, wanted: AudioFormat) -> int:
    """Room for the pieces, as they are kept, and for the finished file beside them."""
    coded: float = _CODED_BYTES_S
    if wanted.encoding in ("wav", "pcm"):
        coded = _plain_bytes_s(wanted)
    elif wanted.encoding == "flac":
        coded = _flac_bytes_s(wanted)
    return round(seconds * (_flac_bytes_s(kept) + coded))


def check_room(needs_bytes: int, most_bytes: int) -> None:
    """Refuse what would never fit. Raises InputTooLong."""
    if needs_bytes > most_bytes:
        raise InputTooLong(
            f"This job needs about {needs_bytes / 2**30:.1f} GiB; all jobs together have "
            f"{most_bytes / 2**30:.1f} GiB. Send it in parts, or ask for a compressed format.",
            param="input",
        )


def _flac_bytes_s(format: AudioFormat) -> float:
    return _plain_bytes_s(format) * _FLAC.get(format.channels or _CHANNELS, 1.0)


def _plain_bytes_s(format: AudioFormat) -> int:
    return (format.sample_rate or _RATE) * (format.channels or _CHANNELS) * _SAMPLE_BYTES
