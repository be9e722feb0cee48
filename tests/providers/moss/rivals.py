"""Sets of parts that are the shipped ones with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.parts import (
    CodecState,
    Decoder,
    Draws,
    Encoder,
    Floats,
    Frames,
    FrameSampler,
    Ints,
    LanguageModel,
    Prefix,
    Seat,
)
from providers.moss_tts_nano.reference import Reference
from providers.moss_tts_nano.sampling import Sampling


class Rival:
    """The shipped parts themselves, each seen through what was given for it."""

    def __init__(
        self,
        reference: Reference,
        *,
        language_model: Callable[[LanguageModel], LanguageModel] = lambda model: model,
        sampler: Callable[[FrameSampler], FrameSampler] = lambda sampler: sampler,
        decoder: Callable[[Decoder], Decoder] = lambda decoder: decoder,
        encoder: Callable[[Encoder], Encoder] = lambda encoder: encoder,
    ) -> None:
        self._reference = reference
        self._language_model = language_model
        self._sampler = sampler
        self._decoder = decoder
        self._encoder = encoder

    def language_model(self, seats: int, capacity: int) -> LanguageModel:
        return self._language_model(self._reference.language_model(seats, capacity))

    def sampler(self, mode: Mode, sampling: Sampling | None = None) -> FrameSampler:
        return self._sampler(self._reference.sampler(mode, sampling))

    def decoder(self) -> Decoder:
        return self._decoder(self._reference.decoder())

    def encoder(self) -> Encoder:
        return self._encoder(self._reference.encoder())

    def unload(self) -> None:
        self._reference.unload()


class Noisy:
    """A language model whose hidden states are off by so much."""

    def __init__(self, model: LanguageModel, by: float) -> None:
        self._model = model
        self._by = by
        self._chance = np.random.default_rng(0)
        self.seats, self.capacity = model.seats, model.capacity

    def join(self, rows: Ints, prefix: Prefix | None = None) -> tuple[Seat, Floats]:
        seat, hidden = self._model.join(rows, prefix)
        return seat, self._shaken(hidden)

    def step(self, seats: Sequence[Seat], rows: Ints) -> Floats:
        return self._shaken(self._model.step(seats, rows))

    def keep(self, seat: Seat, length: int) -> Prefix | None:
        return self._model.keep(seat, length)

    def leave(self, seat: Seat) -> None:
        self._model.leave(seat)

    def _shaken(self, hidden: Floats) -> Floats:
        noise = self._by * self._chance.uniform(-1, 1, hidden.shape)
        shaken: Floats = (hidden + noise).astype(np.float32)
        return shaken


class Neighbourly(Noisy):
    """A language model in which each seat hears a little of the next one."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model, 0.0)

    def step(self, seats: Sequence[Seat], rows: Ints) -> Floats:
        hidden = super().step(seats, rows)
        mixed: Floats = hidden + np.float32(0.01) * np.roll(hidden, 1, axis=0)
        return mixed if len(seats) > 1 else hidden


class Lonely(Noisy):
    """A language model that is off where one seat steps alone."""

    def step(self, seats: Sequence[Seat], rows: Ints) -> Floats:
        if len(seats) == 1:
            return super().step(seats, rows)
        return self._model.step(seats, rows)


class Remembering(Noisy):
    """A language model that keeps prefixes: the rows themselves, which it reads again; it may
    forget some."""

    class _Kept:
        def __init__(self, rows: Ints) -> None:
            self.rows = rows
            self.length = len(rows)
            self.size_bytes = rows.nbytes

    def __init__(self, model: LanguageModel, forgets: int = 0) -> None:
        super().__init__(model, 0.0)
        self._forgets = forgets
        self._rows: dict[Seat, Ints] = {}

    def join(self, rows: Ints, prefix: Prefix | None = None) -> tuple[Seat, Floats]:
        if isinstance(prefix, Remembering._Kept):
            rows = np.concatenate([prefix.rows, rows])
        seat, hidden = super().join(rows)
        self._rows[seat] = rows
        return seat, hidden

    def keep(self, seat: Seat, length: int) -> Prefix | None:
        return Remembering._Kept(self._rows[seat][: length - self._forgets])


class Altered:
    """A frame sampler whose questions or answers are changed."""

    def __init__(
        self,
        sampler: FrameSampler,
        *,
        asked: Callable[[Floats, Ints, Draws], tuple[Floats, Ints, Draws]] | None = None,
        told: Callable[[Frames], Frames] | None = None,
    ) -> None:
        self._sampler = sampler
        self._asked = asked
        self._told = told

    def sample(self, hidden: Floats, seen: Ints, draws: Draws) -> Frames:
        if self._asked is not None:
            hidden, seen, draws = self._asked(hidden, seen, draws)
        frames = self._sampler.sample(hidden, seen, draws)
        return frames if self._told is None else self._told(frames)


class Shared:
    """A decoder with one state for all streams."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._state = decoder.start()

    def start(self) -> CodecState:
        return self._state

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        return self._decoder.decode(self._state, codes)


class Drifting:
    """A decoder that goes wrong little by little."""

    def __init__(self, decoder: Decoder, by: float) -> None:
        self._decoder = decoder
        self._by = by
        self._frames = 0

    def start(self) -> CodecState:
        self._frames = 0
        return self._decoder.start()

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        self._frames += len(codes)
        samples = self._decoder.decode(state, codes)
        drifted: Floats = samples + np.float32(self._by * self._frames)
        return drifted


class Quiet:
    """A decoder that falls silent after so many frames."""

    def __init__(self, decoder: Decoder, after: int) -> None:
        self._decoder = decoder
        self._after = after
        self._frames = 0

    def start(self) -> CodecState:
        self._frames = 0
        return self._decoder.start()

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        samples = self._decoder.decode(state, codes)
        sounds = np.arange(self._frames, self._frames + len(codes)) < self._after
        self._frames += len(codes)
        quieter: Floats = samples * sounds.repeat(samples.shape[1] // len(codes))
        return quieter


class Changed:
    """An encoder whose codes are changed."""

    def __init__(self, encoder: Encoder, change: Callable[[Ints], Ints]) -> None:
        self._encoder = encoder
        self._change = change

    def encode(self, samples: Floats) -> Ints:
        return self._change(self._encoder.encode(samples).copy())
