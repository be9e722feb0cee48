"""Speed and pitch for providers that cannot do them themselves, as the speech comes.

FFmpeg's `atempo` stretches in time, `asetrate` and `aresample` move the pitch. A stage of `atempo`
takes factors of 0.5 to 100, but leaves samples out above 2 instead of blending them (FFmpeg filters
manual, atempo), and ends the process with a failed assertion above 6 when it is fed a second at
once (seen with FFmpeg 8.1). So no stage does more than 2, and several follow each other.
"""

from __future__ import annotations

import math
from typing import Any

_STAGE = 2.0
"""The most that one stage does, either way."""


class Tempo:
    """16-bit interleaved PCM in, the same rate and channels out, faster or slower, higher or
    lower."""

    def __init__(self, sample_rate: int, channels: int, speed: float, semitones: float) -> None:
        """`speed` is a factor from 0.1 to 5, `semitones` a shift from -12 to 12."""
        import av  # noqa: PLC0415  # loaded when first needed
        import numpy as np  # noqa: PLC0415

        self._av, self._np = av, np
        self._rate, self._channels = sample_rate, channels
        self._layout = f"{channels}c" if channels > 2 else ("mono" if channels == 1 else "stereo")
        self._held = b""
        self._at = 0
        self._graph = self._built(speed, semitones)

    def feed(self, pcm: bytes) -> bytes:
        """Samples in, cut anywhere; what the filters can give now out."""
        pcm = self._held + pcm
        spare = len(pcm) % (self._channels * 2)
        self._held = pcm[len(pcm) - spare :] if spare else b""
        pcm = pcm[: len(pcm) - spare] if spare else pcm
        if not pcm:
            return b""
        samples = self._np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
        frame = self._av.AudioFrame.from_ndarray(samples, format="s16", layout=self._layout)
        frame.sample_rate, frame.pts = self._rate, self._at
        self._at += frame.samples
        self._graph.push(frame)
        return self._pulled()

    def finish(self) -> bytes:
        """The tail that the filters still hold."""
        self._graph.push(None)
        return self._pulled()

    def _pulled(self) -> bytes:
        out: list[bytes] = []
        while True:
            try:
                frame = self._graph.pull()
            except (self._av.BlockingIOError, EOFError):
                return b"".join(out)
            out.append(frame.to_ndarray().astype("<i2", copy=False).tobytes())

    def _built(self, speed: float, semitones: float) -> Any:
        graph = self._av.filter.Graph()
        graph.threads = 1  # else one for each core, idle
        source = graph.add_abuffer(
            sample_rate=self._rate, format="s16", layout=self._layout, channels=self._channels
        )
        last = source
        for name, arguments in self._stages(speed, semitones):
            stage = graph.add(name, arguments)
            last.link_to(stage)
            last = stage
        sink = graph.add("abuffersink")
        last.link_to(sink)
        graph.configure()
        return graph

    def _stages(self, speed: float, semitones: float) -> list[tuple[str, str]]:
        stages = []
        higher = 2.0 ** (semitones / 12)
        if semitones:
            stages += [
                ("asetrate", str(round(self._rate * higher))),
                ("aresample", str(self._rate)),
            ]
        factor = speed / higher
        count = math.ceil(abs(math.log(factor, _STAGE)) - 1e-9)
        if count:
            stages += [("atempo", f"{factor ** (1 / count):.9f}")] * count
        sample_format = f"sample_fmts=s16:channel_layouts={self._layout}"
        return [*stages, ("aformat", sample_format)]
