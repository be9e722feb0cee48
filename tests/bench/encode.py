"""What each format costs beside PyAV called directly: `python -m tests.bench.encode [--rounds N]`.

Speech of espeak, 20 ms at a time, through the router's encoders and through a container and an
encoder of PyAV with the same options; both in turn in every round, the least of the rounds is told.
First bytes are told in milliseconds of audio that had gone in. Processor time is the thread's own.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import av
import msgspec
import numpy as np

from router.audio.encode import ENCODERS
from router.audio.pipeline import Pipeline, preload
from router.contract.audio import ENCODINGS, AudioFormat, Encoding
from tests.providers.espeak_at_work import opened, order

SECONDS = 20
SHAPES = ((24_000, 1), (48_000, 2))
CHUNK_S = 0.02
ROUNDS = 5
TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 5


class Coder(Protocol):
    """Takes PCM and gives bytes, as the router's encoders do."""

    def feed(self, pcm: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Run(msgspec.Struct, frozen=True):
    """One speech through one encoder."""

    first_ms: float
    """Audio that had gone in when the first bytes came out."""
    cpu_ms: float
    """Processor time for a second of audio."""
    kbps: float


class _Direct(msgspec.Struct, frozen=True):
    """How PyAV is called where nobody is between."""

    container: str
    codec: str
    sample_format: str
    options: Mapping[str, str] = {}
    head: Mapping[str, str] = {}
    bits_per_channel: int | None = None


_NO_HEAD = {"write_xing": "0", "id3v2_version": "0"}
_OPUS = _Direct(
    *("ogg", "libopus", "s16"),
    options={"frame_duration": "20", "compression_level": "5"},
    head={"page_duration": "20000"},
    bits_per_channel=32_000,
)
_DIRECT: Mapping[Encoding, _Direct] = {
    "pcm": _Direct("s16le", "pcm_s16le", "s16"),
    "wav": _Direct("wav", "pcm_s16le", "s16"),
    "mp3": _Direct(
        *("mp3", "libmp3lame", "s16p"),
        options={"reservoir": "0", "compression_level": "7"},
        head=_NO_HEAD,
        bits_per_channel=64_000,
    ),
    "aac": _Direct("adts", "aac", "fltp", {"aac_coder": "fast"}, bits_per_channel=64_000),
    "flac": _Direct("flac", "flac", "s16", {"frame_size": "576"}),
    "opus": _OPUS,
    "ogg": _OPUS,
}


class DirectCoder:
    """PyAV's container, stream and FIFO in front of a sink that can only be written to."""

    def __init__(self, format: AudioFormat) -> None:
        how = _DIRECT[format.encoding]
        self._sink = _Sink()
        head = {**how.head, "flush_packets": "1"}
        self._container: Any = av.open(self._sink, "w", format=how.container, options=head)
        stream: Any = self._container.add_stream(how.codec, rate=format.sample_rate)
        self._layout = "mono" if format.channels == 1 else "stereo"
        stream.layout, stream.format = self._layout, how.sample_format
        stream.options = dict(how.options)
        if how.bits_per_channel is not None:
            stream.bit_rate = how.bits_per_channel * (format.channels or 1)
        stream.codec_context.open()
        self._stream = stream
        self._format, self._sample_format = format, how.sample_format
        self._fifo: Any = av.AudioFifo()
        self._frame = stream.codec_context.frame_size or 576
        if how.container in ("wav", "s16le"):
            self._frame = 1

    def feed(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, "<i2").reshape(1, -1)
        frame: Any = av.AudioFrame.from_ndarray(samples, format="s16", layout=self._layout)
        frame.sample_rate = self._format.sample_rate
        if self._frame == 1:
            return self._encoded([frame])
        self._fifo.write(self._planar(frame))
        return self._encoded(self._fifo.read_many(self._frame))

    def finish(self) -> bytes:
        rest = self._fifo.read(0, True) if self._frame > 1 else None
        body = self._encoded([rest, None] if rest is not None else [None])
        self._container.close()
        return body + self._sink.taken()

    def _planar(self, frame: Any) -> Any:
        if self._sample_format == "s16":
            return frame
        planes = np.ascontiguousarray(frame.to_ndarray().reshape(-1, self._format.channels or 1).T)
        if self._sample_format == "fltp":
            planes = planes.astype(np.float32) / np.float32(32_768)
        turned: Any = av.AudioFrame.from_ndarray(
            planes, format=self._sample_format, layout=self._layout
        )
        turned.sample_rate = frame.sample_rate
        return turned

    def _encoded(self, frames: Sequence[Any]) -> bytes:
        for frame in frames:
            self._container.mux(self._stream.encode(frame))
        return self._sink.taken()


class _Sink(io.RawIOBase):
    """A file that only takes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def run(coder: Callable[[AudioFormat], Coder], format: AudioFormat, pcm: bytes) -> Run:
    """A whole speech, its encoder opened, fed and finished."""
    frame = (format.channels or 1) * 2
    rate = format.sample_rate or 1
    fed, first, out = 0, 0, 0
    began = time.thread_time()
    encoder = coder(format)
    for chunk in _chunks(pcm, round(rate * CHUNK_S) * frame):
        fed += len(chunk)
        out += len(encoder.feed(chunk))
        first = first or (fed if out else 0)
    out += len(encoder.finish())
    seconds = fed / frame / rate
    cpu_ms = (time.thread_time() - began) / seconds * 1000
    return Run(first / frame / rate * 1000, cpu_ms, out * 8 / seconds / 1000)


def _chunks(pcm: bytes, size: int) -> Iterator[bytes]:
    return (pcm[at : at + size] for at in range(0, len(pcm), size))


def measured(format: AudioFormat, pcm: bytes, rounds: int) -> tuple[Run, Run]:
    """The router's encoder and PyAV alone: each as it was at its quickest."""
    ours, direct = [], []
    for _ in range(rounds):
        ours.append(run(ENCODERS[format.encoding], format, pcm))
        direct.append(run(DirectCoder, format, pcm))
    return min(ours, key=_cost), min(direct, key=_cost)


def _cost(one: Run) -> float:
    return one.cpu_ms


async def speech(seconds: float) -> tuple[AudioFormat, bytes]:
    """So much of espeak, as it speaks."""
    native = AudioFormat("pcm", 22_050, 1)
    wanted = int(seconds * 22_050) * 2
    heard = bytearray()
    async with opened(1) as provider, provider.synthesize(order(TEXT), native) as stream:
        async for chunk in stream.chunks:
            heard += chunk
            if len(heard) >= wanted:
                break
    return native, bytes(heard[:wanted])


def at(native: AudioFormat, pcm: bytes, rate: int, channels: int) -> bytes:
    """The same speech at another rate."""
    pipeline = Pipeline(AudioFormat("pcm", rate, channels))
    pipeline.begin(native)
    return pipeline.feed(pcm) + pipeline.end() + pipeline.finish()


def lines(rounds: int) -> Iterator[str]:
    """The table, row by row."""
    native, spoken = asyncio.run(speech(SECONDS))
    yield f"{'':22}  {'the router':^24}  {'PyAV directly':^24}"
    columns = f"{'first ms':>8} {'CPU ms/s':>8} {'kbit/s':>6}"
    yield f"{'':22}  {columns}  {columns}  CPU / PyAV"
    for rate, channels in SHAPES:
        pcm = at(native, spoken, rate, channels)
        for encoding in ENCODINGS:
            format = AudioFormat(encoding, rate, channels)
            ours, direct = measured(format, pcm, rounds)
            ratio = ours.cpu_ms / direct.cpu_ms
            yield f"{format!s:22}  {_shown(ours)}  {_shown(direct)}  {ratio:10.2f}"


def _shown(one: Run) -> str:
    return f"{one.first_ms:8.0f} {one.cpu_ms:8.2f} {one.kbps:6.0f}"


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.encode", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    preload()
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"PyAV {av.__version__}, {len(os.sched_getaffinity(0))} cores, load before {busy}")
    print(f"{SECONDS} s of speech, {CHUNK_S * 1000:.0f} ms at a time; first bytes in ms of audio\n")
    for line in lines(asked.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
