"""Parts that end their work when somebody asks for it: a proof takes half a minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from providers.moss_tts_nano.proof.trace import Parts
from providers.moss_tts_nano.sampling import Sampling
from router.contract.provider import Interrupted

Stopped = Callable[[], bool]


class Stoppable:
    """A set of parts, each of which raises `Interrupted` once `stopped()` is true."""

    def __init__(self, parts: Parts, stopped: Stopped) -> None:
        self._parts = parts
        self._stopped = stopped

    def language_model(self, seats: int, capacity: int) -> LanguageModel:
        return _Model(self._parts.language_model(seats, capacity), self._stopped)

    def sampler(self, mode: Mode, sampling: Sampling | None = None) -> FrameSampler:
        return _Sampler(self._parts.sampler(mode, sampling), self._stopped)

    def decoder(self) -> Decoder:
        return _Decoder(self._parts.decoder(), self._stopped)

    def encoder(self) -> Encoder:
        return self._parts.encoder()

    def unload(self) -> None:
        self._parts.unload()


class _Model:
    def __init__(self, model: LanguageModel, stopped: Stopped) -> None:
        self.seats, self.capacity = model.seats, model.capacity
        self._model = model
        self._stopped = stopped
        self.keep, self.leave = model.keep, model.leave

    def join(self, rows: Ints, prefix: Prefix | None = None) -> tuple[Seat, Floats]:
        _check(self._stopped)
        return self._model.join(rows, prefix)

    def step(self, seats: Sequence[Seat], rows: Ints) -> Floats:
        _check(self._stopped)
        return self._model.step(seats, rows)


class _Sampler:
    def __init__(self, sampler: FrameSampler, stopped: Stopped) -> None:
        self._sampler = sampler
        self._stopped = stopped

    def sample(self, hidden: Floats, seen: Ints, draws: Draws) -> Frames:
        _check(self._stopped)
        return self._sampler.sample(hidden, seen, draws)


class _Decoder:
    def __init__(self, decoder: Decoder, stopped: Stopped) -> None:
        self._decoder = decoder
        self._stopped = stopped
        self.start = decoder.start

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        _check(self._stopped)
        return self._decoder.decode(state, codes)


def _check(stopped: Stopped) -> None:
    if stopped():
        raise Interrupted
