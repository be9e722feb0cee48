"""Scripts for an engine over the small parts, and somebody who listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import numpy as np

from providers.moss_tts_nano.draws import Mode, RowDraws
from providers.moss_tts_nano.engine.engine import Engine
from providers.moss_tts_nano.engine.script import Chunk, Script
from providers.moss_tts_nano.engine.utterance import Utterance
from providers.moss_tts_nano.guards import Finding, Guards, Hush, Watch
from providers.moss_tts_nano.parts import Ints
from providers.moss_tts_nano.sampling import Sampling
from router.contract.speech import Priority
from tests.providers.moss.fakes import SHAPE, FakeDecoder, FakeParts, frames_alone

OFF = Guards(
    frames_per_token=0, silent_frames=0, loops=False, fewest_frames_share=0, most_frames=600
)
"""Guards that let everything pass."""
CAPPED = msgspec.structs.replace(OFF, most_frames=60)

PATIENCE_S = 20.0
PAUSE_FRAMES = 2


def prompt(voice: int, text: int, *, voice_rows: int = 5, text_rows: int = 6) -> Ints:
    """Rows of which the first five depend on the voice alone."""
    parts = (
        np.random.default_rng([voice, 1]).integers(0, 30, (voice_rows, 1 + SHAPE.codebooks)),
        np.random.default_rng([text, 2]).integers(0, 30, (text_rows, 1 + SHAPE.codebooks)),
    )
    return np.concatenate(parts).astype(np.int32)


def script(
    seed: int,
    texts: Sequence[int] = (1,),
    *,
    voice: int = 0,
    mode: Mode = "fixed",
    guards: Guards = OFF,
    tries: int = 3,
    sampling: Sampling | None = None,
    priority: Priority = "live",
) -> Script:
    chunks = tuple(
        Chunk(
            rows=prompt(voice, text, text_rows=3 + text % 7),
            prefix_rows=5,
            pause_samples=PAUSE_FRAMES * SHAPE.frame_samples,
            watch=lambda: Watch("", 1, guards),
            hush=lambda: Hush(SHAPE.frame_samples, guards),
        )
        for text in texts
    )
    key: Hashable = voice
    return Script(
        chunks=chunks,
        voice=key,
        draws=lambda chunk, attempt: RowDraws(
            seed, mode, SHAPE.codebooks, chunk=chunk, attempt=attempt
        ),
        sampling=sampling,
        tries=tries,
        priority=priority,
    )


def foretold(asked: Script, *, stop_below: float = 0.1, most: int = 600) -> list[list[int] | None]:
    """What must be heard of a script, whoever else speaks: frames by their codes, `None` for a
    silent one. A chunk without any is made again."""
    heard: list[list[int] | None] = []
    for index, chunk in enumerate(asked.chunks):
        heard += [None] * PAUSE_FRAMES if index else []
        heard += next(
            frames
            for attempt in range(asked.tries)
            if (
                frames := frames_alone(
                    chunk.rows,
                    asked.draws(index, attempt),
                    most=most,
                    stop_below=stop_below,
                    sampling=asked.sampling,
                )
            )
        )
    return heard


class Heard:
    """A listener who reads at once, unless told not to."""

    def __init__(self, *, reads: bool = True) -> None:
        self.pieces: list[bytes] = []
        self.findings: list[tuple[Finding, bool]] = []
        self.error: Exception | None = None
        self.over = threading.Event()
        self.sounding = threading.Event()
        self.utterance: Utterance | None = None
        self.began_at = 0.0
        self._reads = reads

    def hear(self, sound: bytes) -> None:
        assert sound, "an empty piece"
        self.pieces.append(sound)
        if not self.sounding.is_set():
            self.began_at = time.monotonic()
            self.sounding.set()
        if self._reads and self.utterance is not None:
            self.utterance.read(len(sound))

    def doubt(self, finding: Finding, *, made_again: bool) -> None:
        self.findings.append((finding, made_again))

    def end(self) -> None:
        self.over.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.over.set()

    @property
    def sound(self) -> bytes:
        return b"".join(self.pieces)

    def wait(self) -> Heard:
        assert self.over.wait(PATIENCE_S), "it does not come to an end"
        return self


def say(engine: Engine, asked: Script, *, reads: bool = True) -> Heard:
    heard = Heard(reads=reads)
    heard.utterance = engine.open(asked, heard)
    return heard


@contextmanager
def working(
    *workers: FakeParts,
    decoder: FakeDecoder | None = None,
    codecs: int = 1,
    mode: Mode = "fixed",
    waiting: int = 64,
    prefix_bytes: int = 10_000,
) -> Iterator[Engine]:
    engine = Engine(
        SHAPE,
        workers,
        decoder or FakeDecoder(),
        codecs=codecs,
        mode=mode,
        waiting=waiting,
        prefix_bytes=prefix_bytes,
    )
    try:
        yield engine
    finally:
        for parts in workers:
            if parts.model.gate is not None:
                parts.model.gate.release(10_000)
        engine.close()
