"""The process that decodes voice samples: it is run as a file, and takes one clip at a time.

    python -I -S clip_child.py DIRECTORY...     (the directories hold av, numpy and soxr)

A clip comes from a stranger and goes through FFmpeg, so the process gives up all that decoding does
not need before it reads the first one. With no descriptor and no process to be had, no clip can
open a file or a socket or start anything, whatever it makes FFmpeg try; and FFmpeg is told the one
demuxer and the few codecs that it may use.

In, on descriptor 0: `container` (8 bytes, zero-padded), `u32 length` (little-endian), the file.
Out, on descriptor 1: `kind` (one byte), then

    R  ready       once, at the start
    S  samples     `u32 frames`, `u8 clips`, then float32 [2, frames] at 48 kHz, -1..1
    X  refused     `word` (8 bytes, zero-padded), f64: the number that goes with it, or 0

| word     | why                                  | number                        |
|----------|--------------------------------------|-------------------------------|
| `noaudio`| it holds no audio                    |                               |
| `broken` | it cannot be decoded                 |                               |
| `silent` | nothing in it can be heard           |                               |
| `short`  | too little sounds                    | seconds that sound            |
| `long`   | it lasts longer than is decoded      |                               |
| `rate`   | its sample rate is out of bounds     | hertz                         |
| `many`   | it has too many channels             | channels                      |
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import math
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    import numpy as np
    from av import AudioFrame

    Samples = np.ndarray[Any, np.dtype[np.float32]]

ORDER = struct.Struct("<8sI")
ANSWER = struct.Struct("<IB")
REFUSAL = struct.Struct("<8sd")

RATE = 48_000
LONGEST_S = 120.0
SHORTEST_S = 1.0
"""How much of a clip must sound."""
PADDING_S = 0.25
"""What an encoder may add to a clip of the greatest length."""
MOST_FRAMES = int((LONGEST_S + PADDING_S) * RATE)
LEAST_RATE, MOST_RATE = 4_000, 192_000
MOST_CHANNELS = 8
LARGEST_FILE = 16 << 20
CPU_S = 6
"""Processor time for a clip; 120 s of any codec take a fifth of a second."""

_MEMORY = 192 << 20
"""Address space for a clip, above what the process has when it is ready. The samples take 46 MB."""

_NOBODY = 65534
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
_READERS = {
    "mp3": ("mp3", "mp3,mp3float"),
    "wav": ("wav", _PCM),
    "flac": ("flac", "flac"),
    "aac": ("aac", "aac"),
    "m4a": ("mov", "aac,alac"),
    "ogg": ("ogg", "vorbis,opus,libopus,flac"),
}
"""The demuxer for each container, and the codecs that may be in it."""


class Refusal(Exception):
    """The clip cannot be used; the word is one of the table above."""

    def __init__(self, word: str, number: float = 0.0) -> None:
        super().__init__(word)
        self.word = word
        self.number = number


# ---- what the process gives up


def use_one_thread() -> None:
    """numpy must not start a thread for each core. Before it is imported."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def give_up() -> None:
    """Have no files, sockets or processes, little memory and no privileges, from now on for good.

    A limit of no descriptors leaves those that are open, and no new one can be had: `open`,
    `socket`, `pipe` and `dup` fail, and so would the loader of a started program.
    """
    _become_nobody()
    limits = {
        resource.RLIMIT_CORE: 0,  # a core file would hold somebody's voice
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 0,
    }
    in_use = _address_space()
    if in_use:
        limits[resource.RLIMIT_AS] = in_use + _MEMORY
    for limit, most in limits.items():
        try:
            resource.setrlimit(limit, (most, most))
        except (OSError, ValueError):
            continue  # not every system knows every limit


def _become_nobody() -> None:
    """Root is not held by limits. Where it cannot be left (a container's root often cannot), the
    limits hold whoever keeps to them, and FFmpeg does."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(*[_NOBODY] * 3)
            os.setresuid(*[_NOBODY] * 3)
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        # A closed socket ends a child that reads; this ends one that computes. After the change of
        # user, which would undo it.
        prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def _address_space() -> int:
    """In bytes; 0 where nobody knows."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def renew_time() -> None:
    """Grant the processor time of one clip; the kernel kills the process that exceeds it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime) + CPU_S
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard in (-1, resource.RLIM_INFINITY) or soft <= hard:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


# ---- decoding


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
        import numpy as np  # noqa: PLC0415

        self._np = np
        # Memory that is never written to is never had: this costs what the clip needs.
        self._kept: Samples = np.empty((2, MOST_FRAMES), np.float32)
        self._frames = 0
        self._gathered: list[Any] = []
        self._gathered_s = self._seconds = 0.0
        self._kind = Kind(0, 0, False, "")
        self._rate = 0
        self._resampler: Any = None
        self._heard = self._full = 0

    def add(self, frame: AudioFrame) -> None:
        """Raises: Refusal: `long`, `rate` or `many`."""
        layout, sample = frame.layout, frame.format
        kind = Kind(frame.sample_rate, layout.nb_channels, sample.is_planar, sample.name)
        if kind != self._kind:
            self._turn_to(kind)
        seconds = frame.samples / kind.rate
        self._seconds += seconds
        if self._seconds > LONGEST_S + PADDING_S:
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
        samples = self._stereo(self._np.concatenate(self._gathered, axis=1))
        self._gathered.clear()
        self._gathered_s = 0.0
        self._heard += samples.size
        self._full += int(self._np.count_nonzero(self._np.abs(samples) >= _FULL))
        self._keep(self._resampler.resample_chunk(samples) if self._resampler else samples)

    def _stereo(self, array: Any) -> Samples:
        """[frames, 2], -1..1. More channels than two are averaged into both."""
        np = self._np
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
        return np.ascontiguousarray(np.broadcast_to(scaled, (len(scaled), 2)))

    def _resample_at(self, rate: int) -> None:
        """Let the resampler's tail out and make the next; at 48 kHz, and at zero, there is none."""
        if self._resampler:
            self._keep(self._resampler.resample_chunk(self._np.empty((0, 2), "f4"), last=True))
        self._resampler = None
        if rate not in (0, RATE):
            import soxr  # noqa: PLC0415

            self._resampler = soxr.ResampleStream(rate, RATE, 2, dtype="float32", quality="HQ")
        self._rate = rate

    def _keep(self, samples: Samples) -> None:
        end = self._frames + len(samples)
        if end > MOST_FRAMES:
            raise Refusal("long")
        self._np.clip(samples.T, -1, 1, out=self._kept[:, self._frames : end])
        self._frames = end


def sounding_seconds(samples: Samples) -> float:
    """How much of a clip is neither silence nor the noise of the room, in windows of 20 ms."""
    import numpy as np  # noqa: PLC0415

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
    try:
        return _decoded(io.BytesIO(data), *_READERS[container])
    except (Refusal, MemoryError):
        raise
    except Exception as error:  # PyAV gives a hostile file's nonsense on as errors of many kinds
        raise Refusal("broken") from error


def _decoded(file: io.BytesIO, demuxer: str, codecs: str) -> tuple[Samples, bool]:
    import av  # noqa: PLC0415

    walls = {
        "format_whitelist": demuxer,
        "codec_whitelist": codecs,
        "protocol_whitelist": "",
        "max_streams": "16",
    }
    with av.open(
        file, format=demuxer, container_options=walls, metadata_errors="replace", io_open=_refuse
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
                reel.add(frame)  # type: ignore[arg-type]  # an audio stream gives audio frames
        if bad > good:
            raise Refusal("broken")
        return reel.finish()


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """A file that wants to open another one. FFmpeg's own walls stand before this one."""
    raise PermissionError


# ---- the pipe


def read(count: int) -> bytes:
    """So many bytes from the parent. Where there is no parent any more, there is no more to do."""
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = os.readv(0, [view])
        if not got:
            leave()
        view = view[got:]
    return bytes(data)


def write(data: bytes | memoryview) -> None:
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(1, view) :]


def leave() -> NoReturn:
    """End at once, without another look at memory that a clip may have spoilt."""
    os._exit(0)


def answer() -> None:
    """Take one clip, decode it, tell the parent."""
    name, length = ORDER.unpack(read(ORDER.size))
    if length > LARGEST_FILE:
        leave()
    data = read(length)
    renew_time()
    try:
        samples, clips = decoded(data, name.rstrip(b"\0").decode())
    except Refusal as refusal:
        write(b"X" + REFUSAL.pack(refusal.word.encode(), refusal.number))
        return
    write(b"S" + ANSWER.pack(samples.shape[1], clips))
    for channel in samples:
        write(channel.data)


def rehearse() -> None:
    """Decode something good and something bad, because no module can be imported later."""
    square = (b"\x40" * 20 + b"\xc0" * 20) * 400
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(square), b"WAVEfmt ", 16, 1, 1,
                       8000, 8000, 1, 8, b"data", len(square))  # fmt: skip
    decoded(head + square, "wav")
    for container in _READERS:
        with contextlib.suppress(Refusal):
            decoded(head, container)


def main(*directories: str) -> None:
    use_one_thread()
    sys.path[:0] = directories
    import av  # noqa: PLC0415

    av.logging.set_level(None)
    rehearse()
    give_up()
    write(b"R")
    try:
        while True:
            answer()
    except (OSError, MemoryError):
        leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
