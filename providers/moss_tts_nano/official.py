"""The official runtime's loop, step by step: for one seed, its tokens.

Plain and slow on purpose, for it is what everything else is held against. Source: OpenMOSS/
MOSS-TTS-Nano, `ort_cpu_runtime.py` and `onnx_tts_runtime.py`, commit 42b4645. One thing is left
out: where decoding at once fails, that runtime quietly decodes in pieces; here it fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np

from providers.moss_tts_nano.draws import OFFICIAL_SEED, Mode, OfficialDraws
from providers.moss_tts_nano.engine.cadence import piece_frames
from providers.moss_tts_nano.parts import Floats, Ints
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.reference import Reference
from providers.moss_tts_nano.sampling import Sampling

MOST_ROWS = 32768
"""As many positions as the model knows."""


class Chunk(NamedTuple):
    """A piece of text as the model reads it; `chunks` cuts and times them."""

    tokens: Sequence[int]
    pause_s: float
    """Silence after it, where another follows."""

    def __repr__(self) -> str:
        return f"Chunk({len(self.tokens)} tokens)"


def official_mode(sample_mode: str | None, do_sample: bool = True) -> Mode:
    """What the official runtime makes of its two settings."""
    if sample_mode in {"greedy", "fixed", "full"}:
        return cast("Mode", sample_mode)
    return "fixed" if do_sample else "greedy"


class Official:
    """One generator of random numbers, which runs on from chunk to chunk and speech to speech."""

    def __init__(
        self,
        reference: Reference,
        mode: Mode | None = None,
        *,
        seed: int = OFFICIAL_SEED,
        most_frames: int | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """By default everything is as the model's manifest says."""
        defaults = reference.layout.manifest.generation_defaults
        mode = mode or official_mode(defaults.sample_mode, defaults.do_sample)
        self._shape = reference.layout.shape
        self._prompt = Prompt(reference.layout.manifest)
        self._model = reference.language_model(seats=1, capacity=MOST_ROWS)
        self._sampler = reference.sampler(mode, sampling)
        self._draws = OfficialDraws(seed, reference.sampling_mode(mode), self._shape.codebooks)
        self._decoder = reference.decoder()
        self._full_decoder = reference.full_decoder()
        self._most_frames = most_frames or defaults.max_new_frames

    def frames(self, voice: Ints, tokens: Sequence[int]) -> Generator[Ints, None, None]:
        """One chunk, frame by frame, int32 [codebooks] each; `voice` int32 [frames, codebooks]."""
        codebooks = np.arange(self._shape.codebooks)
        seen = np.zeros((1, self._shape.codebooks, self._shape.codebook_size), dtype=np.int32)
        seat, hidden = self._model.join(self._prompt.whole(voice, tokens))
        try:
            for _ in range(self._most_frames):
                frame = self._sampler.sample(hidden[None], seen, self._draws.frame())
                if not frame.goes_on[0]:
                    self._draws.stopped()
                    return
                seen[0, codebooks, frame.codes[0]] = 1
                # The last frame of all is fed back too, though nobody asks what comes after it.
                hidden = self._model.step([seat], self._prompt.spoken(frame.codes))[0]
                yield frame.codes[0]
        finally:
            self._model.leave(seat)

    def codes(self, voice: Ints, tokens: Sequence[int]) -> Ints:
        """One chunk's frames, int32 [frames, codebooks]."""
        frames = list(self.frames(voice, tokens))
        return np.array(frames, dtype=np.int32).reshape(-1, self._shape.codebooks)

    def speak(self, voice: Ints, chunks: Sequence[Chunk]) -> Floats:
        """A whole speech, each chunk decoded at once; float32 [channels, samples]."""
        made = (self._decoded(self.codes(voice, chunk.tokens)) for chunk in chunks)
        return self._joined(self._with_pauses([[sound] for sound in made], chunks))

    def stream(
        self, voice: Ints, chunks: Sequence[Chunk], clock: Callable[[], float] = time.perf_counter
    ) -> Iterator[Floats]:
        """The same speech in pieces, as soon as the official cadence lets them be decoded."""
        made = (self._pieces(self.frames(voice, chunk.tokens), clock) for chunk in chunks)
        return self._with_pauses(made, chunks)

    def _with_pauses(
        self, sounds: Iterable[Iterable[Floats]], chunks: Sequence[Chunk]
    ) -> Iterator[Floats]:
        for number, (sound, chunk) in enumerate(zip(sounds, chunks, strict=True), 1):
            yield from sound
            if number < len(chunks):
                samples = round(self._shape.sample_rate * chunk.pause_s)
                yield np.zeros((self._shape.channels, samples), dtype=np.float32)

    def _pieces(self, frames: Iterable[Ints], clock: Callable[[], float]) -> Iterator[Floats]:
        state = self._decoder.start()
        pending: list[Ints] = []
        first_at, emitted_s = 0.0, 0.0
        for codes in frames:
            pending.append(codes)
            budget = piece_frames(emitted_s - (clock() - first_at) if emitted_s else None)
            if len(pending) >= budget:
                sound = self._decoder.decode(state, np.stack(pending[:budget]))
                del pending[:budget]
                first_at = first_at if emitted_s else clock()
                emitted_s += sound.shape[1] / self._shape.sample_rate
                yield sound
        if pending:
            yield self._decoder.decode(state, np.stack(pending))

    def _decoded(self, codes: Ints) -> Floats:
        if not len(codes):
            return np.zeros((self._shape.channels, 0), dtype=np.float32)
        return self._full_decoder.decode(codes)

    def _joined(self, pieces: Iterable[Floats]) -> Floats:
        silence = np.zeros((self._shape.channels, 0), dtype=np.float32)
        return np.concatenate([silence, *pieces], axis=1)
