"""PCM from one rate and channel count to another, as it comes."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Samples = np.ndarray[Any, np.dtype[np.int16]]

SAMPLE_BYTES = 2
"""Signed 16-bit little-endian."""


def preload() -> None:
    """Import numpy and soxr (60 ms, 30 MB): in a thread, before the first `Converter` is made."""
    import_module("numpy")
    import_module("soxr")


def is_loaded() -> bool:
    """Whether a `Converter` can be made without a wait."""
    return "soxr" in sys.modules


class Aligner:
    """Cuts a stream of bytes at whole frames; what is over waits for the next chunk."""

    def __init__(self, channels: int) -> None:
        self._frame = channels * SAMPLE_BYTES
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        if self._rest:
            chunk = self._rest + chunk
        spare = len(chunk) % self._frame
        self._rest = chunk[len(chunk) - spare :] if spare else b""
        return chunk[: len(chunk) - spare] if spare else chunk

    def finish(self) -> bytes:
        """A frame that was never completed is not audio."""
        return b""


class Converter:
    """Resamples (soxr, high quality) and mixes; chunks may be cut anywhere, the tail is not lost.

    Mixing down averages, so nothing can clip; mixing up copies. soxr saturates at full scale.
    Delay: 20 ms between 44.1 and 48 kHz, 40 ms at 24 and 22.05 kHz, 160 ms at 8 kHz (measured).
    """

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        """`source` and `target` are (sample rate in hertz, channels)."""
        import numpy as np  # noqa: PLC0415
        import soxr  # noqa: PLC0415

        self._np = np
        (rate, self._channels), (to_rate, self._to_channels) = source, target
        self._aligner = Aligner(self._channels)
        self._mixed = min(self._channels, self._to_channels)
        self._resampler = None
        if rate != to_rate:
            self._resampler = soxr.ResampleStream(
                rate, to_rate, self._mixed, dtype="int16", quality="HQ"
            )

    def feed(self, chunk: bytes) -> bytes:
        return self._convert(self._aligner.feed(chunk), last=False)

    def finish(self) -> bytes:
        """What the resampler still holds."""
        return self._convert(b"", last=True) if self._resampler is not None else b""

    def _convert(self, chunk: bytes, *, last: bool) -> bytes:
        if not chunk and not last:
            return b""
        np = self._np
        samples: Samples = np.frombuffer(chunk, dtype="<i2").reshape(-1, self._channels)
        samples = self._mix(samples, self._mixed)
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
            samples = samples.reshape(-1, self._mixed)
        return self._mix(samples, self._to_channels).astype("<i2", copy=False).tobytes()

    def _mix(self, samples: Samples, channels: int) -> Samples:
        np, present = self._np, samples.shape[1]
        if present == channels:
            return samples
        if present > channels:
            mono = samples.astype(np.int32).sum(axis=1, keepdims=True) // present
            samples = mono.astype(np.int16)
        mixed: Samples = np.repeat(samples[:, :1], channels, axis=1)
        return mixed


def louder(samples: bytes, gain_db: float) -> bytes:
    """The same samples, louder or softer; what would exceed full scale is held there.

    `samples` are whole 16-bit values: a decoder gives no others.
    """
    import numpy as np  # noqa: PLC0415

    scaled = np.frombuffer(samples, dtype="<i2") * np.float32(10 ** (gain_db / 20))
    return np.clip(np.rint(scaled), -32_768, 32_767).astype("<i2").tobytes()


def converter(source: tuple[int, int], target: tuple[int, int]) -> Aligner | Converter:
    """The cheapest machine that does it; equal formats need no numpy."""
    return Aligner(source[1]) if source == target else Converter(source, target)
