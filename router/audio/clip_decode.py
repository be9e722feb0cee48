"""Makes 48 kHz stereo of a file that may be anything. It is imported in the child alone.

FFmpeg is told the one demuxer and the few codecs that it may use; everything is counted while it
is decoded, because what a header says of its file is no evidence.
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple, NoReturn

import av
import numpy as np
import soxr

from router.audio.clip_terms import (
    LEAST_RATE,
    MOST_CHANNELS,
    MOST_FRAMES,
    MOST_RATE,
    RATE,
    SHORTEST_S,
)

Samples = np.ndarray[Any, np.dtype[np.float32]]

_LONGEST_S = MOST_FRAMES / RATE
_WINDOW = RATE // 50
_AUDIBLE = 1e-3
"""A window of 20 ms whose root mean square is below this (-60 dB of full scale) is silent ..."""
_BELOW_LOUDEST = 1e-2
"""... and so is one that is 40 dB below the loudest: the room, not the voice."""
_FULL = 0.999
_CUT_OFF = 1 / 2000
"""The share of samples at full scale from which on a clip is told to be cut off: a normalised
recording has a few, one recorded too loud has thousands."""

_PCM = "pcm_u8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw"
READERS = {
    "mp3": ("mp3", "mp3,mp3float"),
    "wav": ("wav", _PCM),
    "flac": ("flac", "flac"),
    "aac": ("aac", "aac"),
    "m4a": ("mov", "aac,alac"),
    "ogg": ("ogg", "vorbis,opus,libopus,flac"),
}
"""The demuxer for each container, and the codecs that may be in it."""


class Refusal(Exception):
    """The clip cannot be used; the word is one of `clip_terms.WHY`."""

    def __init__(self, word: str, number: float = 0.0) -> None:
        super().__init__(word)
        self.word = word
        self.number = number


class Kind(NamedTuple):
    """What decoded frames have in common that can be converted together."""

    rate: int
    channels: int
    is_planar: bool
    sample: str


class Reel:
    """Takes decoded frames of any kind and keeps them as stereo at 48 kHz.

    Frames are gathered and converted a second at a time, which halves the work.
    """

    def __init__(self) -> None:
        # Memory that is never written to is never had: this costs what the clip needs.
        self._kept: Samples = np.empty((2, MOST_FRAMES), np.float32)
        self._frames = 0
        self._gathered: list[Any] = []
        self._gathered_s = self._seconds = 0.0
        self._kind = Kind(0, 0, False, "")
        self._rate = 0
        self._resampler: Any = None
        self._heard = self._full = 0

    def add(self, frame: av.AudioFrame) -> None:
        """Raises: Refusal: `long`, `rate` or `many`."""
        layout, sample = frame.layout, frame.format
        kind = Kind(frame.sample_rate, layout.nb_channels, sample.is_planar, sample.name)
        if kind != self._kind:
            self._turn_to(kind)
        seconds = frame.samples / kind.rate
        self._seconds += seconds
        if self._seconds > _LONGEST_S:
            raise Refusal("long")
        self._gathered.append(frame.to_ndarray())
        self._gathered_s += seconds
        if self._gathered_s >= 1:
            self._convert()

    def finish(self) -> tuple[Samples, bool]:
        """The samples, and whether their peaks are cut off.

        Raises:
            Refusal: `broken`, `silent` or `short`.
        """
        self._convert()
        self._resample_at(0)
        if not self._frames:
            raise Refusal("broken")
        samples = self._kept[:, : self._frames]
        sounding = sounding_seconds(samples)
        if not sounding:
            raise Refusal("silent")
        if sounding < SHORTEST_S:
            raise Refusal("short", sounding)
        return samples, self._full >= self._heard * _CUT_OFF

    def _turn_to(self, kind: Kind) -> None:
        """A chained file may change what it is in the middle."""
        if not LEAST_RATE <= kind.rate <= MOST_RATE:
            raise Refusal("rate", kind.rate)
        if not 1 <= kind.channels <= MOST_CHANNELS:
            raise Refusal("many", kind.channels)
        self._convert()
        self._kind = kind
        if kind.rate != self._rate:
            self._resample_at(kind.rate)

    def _convert(self) -> None:
        if not self._gathered:
            return
        samples = self._stereo(np.concatenate(self._gathered, axis=1))
        self._gathered.clear()
        self._gathered_s = 0.0
        self._heard += samples.size
        self._full += int(np.count_nonzero(np.abs(samples) >= _FULL))
        self._keep(self._resampler.resample_chunk(samples) if self._resampler else samples)

    def _stereo(self, array: Any) -> Samples:
        """[frames, 2], -1..1. More channels than two are averaged into both."""
        kind = array.dtype
        channels = self._kind.channels
        array = array.T if self._kind.is_planar else array.reshape(-1, channels)
        if kind.kind == "u":
            scaled = (array.astype(np.float32) - 128) / 128
        elif kind.kind == "i":
            scaled = array.astype(np.float32) / -float(np.iinfo(kind).min)
        else:
            scaled = np.clip(np.nan_to_num(array), -1, 1).astype(np.float32)
        if channels > 2:
            scaled = scaled.mean(axis=1, keepdims=True)
        stereo: Samples = np.ascontiguousarray(np.broadcast_to(scaled, (len(scaled), 2)))
        return stereo

    def _resample_at(self, rate: int) -> None:
        """Let the resampler's tail out and make the next; at 48 kHz, and at zero, there is none."""
        if self._resampler:
            self._keep(self._resampler.resample_chunk(np.empty((0, 2), "f4"), last=True))
        self._resampler = None
        if rate not in (0, RATE):
            self._resampler = soxr.ResampleStream(rate, RATE, 2, dtype="float32", quality="HQ")
        self._rate = rate

    def _keep(self, samples: Samples) -> None:
        end = self._frames + len(samples)
        if end > MOST_FRAMES:
            raise Refusal("long")
        np.clip(samples.T, -1, 1, out=self._kept[:, self._frames : end])
        self._frames = end


def sounding_seconds(samples: Samples) -> float:
    """How much of a clip is neither silence nor the noise of the room, in windows of 20 ms."""
    windows = samples.shape[1] // _WINDOW
    cut = samples[:, : windows * _WINDOW].reshape(2, windows, _WINDOW)
    power = np.einsum("cwt,cwt->cw", cut, cut).max(axis=0, initial=0) / _WINDOW
    least = max(_AUDIBLE**2, power.max(initial=0) * _BELOW_LOUDEST**2)
    return int(np.count_nonzero(power >= least)) * _WINDOW / RATE


def decoded(data: bytes, container: str) -> tuple[Samples, bool]:
    """The first audio stream of a file.

    Raises:
        Refusal: it cannot be used.
    """
    av.logging.set_level(None)  # it would quote the file's own names
    try:
        return _decoded(io.BytesIO(data), *READERS[container])
    except (Refusal, MemoryError):
        raise
    except Exception as error:  # PyAV gives a hostile file's nonsense on as errors of many kinds
        raise Refusal("broken") from error


def _decoded(file: io.BytesIO, demuxer: str, codecs: str) -> tuple[Samples, bool]:
    walls = {
        "format_whitelist": demuxer,
        "codec_whitelist": codecs,
        "protocol_whitelist": "",
        "max_streams": "16",
    }
    with av.open(
        file,
        "r",
        format=demuxer,
        container_options=walls,
        metadata_errors="replace",
        io_open=_no_other_file,
    ) as opened:
        if not opened.streams.audio:
            raise Refusal("noaudio")
        stream = opened.streams.audio[0]
        if stream.codec_context.name not in codecs.split(","):
            raise Refusal("broken")
        stream.codec_context.thread_count = 1
        reel = Reel()
        good = bad = 0
        for packet in opened.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                bad += 1
                continue
            for frame in frames:
                good += 1
                reel.add(frame)
        if bad > good:
            raise Refusal("broken")
        return reel.finish()


def _no_other_file(_url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    """What FFmpeg calls for a file that names another one; its own walls stand before this one."""
    raise PermissionError
