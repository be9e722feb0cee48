"""What a model said and thought, remembered, so that another can be held against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec
import numpy as np

from providers.moss_tts_nano.draws import Mode, RowDraws, stacked
from providers.moss_tts_nano.parts import (
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
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.sampling import Sampling


class Parts(Protocol):
    """A set of parts, each made when it is asked for."""

    def language_model(self, seats: int, capacity: int) -> LanguageModel: ...

    def sampler(self, mode: Mode, sampling: Sampling | None = None) -> FrameSampler: ...

    def decoder(self) -> Decoder: ...

    def encoder(self) -> Encoder: ...

    def unload(self) -> None:
        """Give back the memory of whatever was loaded; a part that is asked for later loads it
        again."""
        ...


class Probe(msgspec.Struct, frozen=True, eq=False):
    """Something to say."""

    voice: Ints
    """int32 [frames, codebooks]"""
    tokens: Sequence[int]
    mode: Mode = "fixed"
    seed: int = 1234

    def __repr__(self) -> str:
        return f"Probe({len(self.voice)} frames, {len(self.tokens)} tokens, {self.mode})"


class Trace(msgspec.Struct, frozen=True, eq=False):
    """One chunk. Its step `i` draws frame `i`, or the end, from `hidden[i]` with `draws[i]`."""

    mode: Mode
    prefix: Ints
    suffix: Ints
    """The prompt's two parts, int32 [rows, 1 + codebooks]."""
    spoken: Ints
    """The rows by which the frames were fed back, [frames, 1 + codebooks]."""
    hidden: Floats
    """[steps, hidden]"""
    draws: tuple[Draws, ...]
    """Of one row each, [steps]."""
    has_stopped: bool
    """Whether the last step was the end: then there is one more of them than frames."""

    def __repr__(self) -> str:
        return f"Trace({self.mode}, {len(self.spoken)} frames)"

    @property
    def codes(self) -> Ints:
        """[frames, codebooks]"""
        return self.spoken[:, 1:]

    @property
    def frames(self) -> Frames:
        """What was drawn at each step."""
        steps = len(self.hidden)
        end = np.zeros((steps - len(self.spoken), self.codes.shape[1]), dtype=np.int32)
        return Frames(np.arange(steps) < len(self.spoken), np.concatenate([self.codes, end]))

    @property
    def rows(self) -> int:
        return len(self.prefix) + len(self.suffix) + len(self.spoken)

    def seen(self, codebook_size: int) -> Iterator[Ints]:
        """What had been emitted before each step, int32 [codebooks, codebook_size]; always the
        same array, which changes."""
        codebooks = np.arange(self.codes.shape[1])
        seen = np.zeros((len(codebooks), codebook_size), dtype=np.int32)
        yield seen
        for codes in self.codes[: len(self.hidden) - 1]:
            seen[codebooks, codes] = 1
            yield seen


def record(
    model: LanguageModel,
    sampler: FrameSampler,
    prompt: Prompt,
    probe: Probe,
    *,
    most_frames: int,
    codebook_size: int,
) -> Trace:
    """Speak freely, alone, and remember all of it."""
    codebooks = np.arange(probe.voice.shape[1])
    row = RowDraws(probe.seed, probe.mode, len(codebooks))
    seen = np.zeros((1, len(codebooks), codebook_size), dtype=np.int32)
    prefix, suffix = prompt.prefix(probe.voice), prompt.suffix(probe.tokens)
    seat, state = model.join(np.concatenate([prefix, suffix]))
    hidden: list[Floats] = []
    draws: list[Draws] = []
    spoken: list[Ints] = []
    has_stopped = False
    try:
        while len(spoken) < most_frames and not has_stopped:
            hidden.append(state.copy())
            draws.append(stacked([row.frame()], probe.mode))
            frame = sampler.sample(hidden[-1][None], seen, draws[-1])
            has_stopped = not frame.goes_on[0]
            if not has_stopped:
                seen[0, codebooks, frame.codes[0]] = 1
                spoken.append(prompt.spoken(frame.codes)[0])
                state = model.step([seat], spoken[-1][None])[0]
    finally:
        model.leave(seat)
    return Trace(
        mode=probe.mode,
        prefix=prefix,
        suffix=suffix,
        spoken=np.array(spoken, dtype=np.int32).reshape(-1, 1 + len(codebooks)),
        hidden=np.stack(hidden),
        draws=tuple(draws),
        has_stopped=has_stopped,
    )


def follow(
    model: LanguageModel, traces: Sequence[Trace], *, keeps: bool = False, stagger: int = 3
) -> list[Floats]:
    """The hidden states of a model that is made to say the same, all at once: a trace joins every
    `stagger` steps while the others run, and leaves when it ends. With `keeps`, each goes on from
    a kept prefix."""
    hidden: list[list[Floats]] = [[] for _ in traces]
    running: dict[int, Seat] = {}
    waiting = list(range(len(traces)))
    step = 0
    while waiting or running:
        if waiting and len(running) < model.seats and (step % stagger == 0 or not running):
            at = waiting.pop(0)
            running[at], state = _joined(model, traces[at], keeps=keeps)
            hidden[at].append(state.copy())
        for at in [at for at in running if len(hidden[at]) == len(traces[at].hidden)]:
            model.leave(running.pop(at))
        if running:
            rows = np.stack([traces[at].spoken[len(hidden[at]) - 1] for at in running])
            for at, state in zip(running, model.step(list(running.values()), rows), strict=True):
                hidden[at].append(state.copy())
        step += 1
    return [np.stack(states) for states in hidden]


def can_keep(model: LanguageModel, trace: Trace) -> bool:
    """Whether the model can go on from a kept prefix."""
    return _kept(model, trace) is not None


def _joined(model: LanguageModel, trace: Trace, *, keeps: bool) -> tuple[Seat, Floats]:
    if keeps:
        return model.join(trace.suffix, _kept(model, trace))
    return model.join(np.concatenate([trace.prefix, trace.suffix]))


def _kept(model: LanguageModel, trace: Trace) -> Prefix | None:
    seat, _ = model.join(trace.prefix)
    prefix = model.keep(seat, len(trace.prefix))
    model.leave(seat)
    return prefix


def sampled(
    sampler: FrameSampler, trace: Trace, hidden: Floats, codebook_size: int, together: int = 1
) -> Frames:
    """What a sampler draws at each step of a trace, from these hidden states, so many rows at
    once (a shipped graph gives its own numbers only to a row alone)."""
    steps = zip(hidden, trace.draws, trace.seen(codebook_size), strict=True)
    rows = [(state, draws, seen.copy()) for state, draws, seen in steps]
    frames = [_drawn(sampler, rows[at : at + together]) for at in range(0, len(rows), together)]
    return Frames(
        np.concatenate([frame.goes_on for frame in frames]),
        np.concatenate([frame.codes for frame in frames]),
    )


def _drawn(sampler: FrameSampler, rows: Sequence[tuple[Floats, Draws, Ints]]) -> Frames:
    hidden, draws, seen = zip(*rows, strict=True)
    both = Draws(
        np.concatenate([draw.text for draw in draws]),
        np.concatenate([draw.audio for draw in draws]),
    )
    return sampler.sample(np.stack(hidden), np.stack(seen), both)
