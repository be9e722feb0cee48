"""Measures how well a faster set of parts speaks, for a user who has the real weights.

`prove` asks whether two are the same. This asks how near, and whether it matters: both say the same
sentences, and what is heard is counted.
"""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.guards import (
    SILENT_DB,
    Fault,
    Guards,
    Hush,
    Watch,
    frame_cap,
    loudness_db,
)
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.parts import Decoder, Floats, Ints, Shape
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.proof.agreement import Tally, compared, distance, places
from providers.moss_tts_nano.proof.comparison import Comparison, Forced, Line, Spoken
from providers.moss_tts_nano.proof.texts import Sentence
from providers.moss_tts_nano.proof.trace import Parts, Probe, Trace, follow, record, sampled

_SEATS = 4
"""Sentences that are followed together."""
_PIECE_FRAMES = 8

Progress = Callable[[int, int], None]
"""Told how many of how many utterances are done."""


class _Utterance(NamedTuple):
    trace: Trace
    fault: str
    silent: list[bool]
    """Of each frame, whether it is."""


def compare(
    truth: Parts,
    other: Parts,
    layout: Layout,
    sentences: Sequence[Sentence],
    *,
    mode: Mode = "fixed",
    seeds: Sequence[int] = (1, 2, 3),
    guards: Guards | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """`folder` takes a pair of WAVs of each sentence, NAME-shipped.wav with NAME-other.wav, both
    of the first seed. Takes a minute or two for each dozen sentences; blocking."""
    third = len(sentences) * len(seeds)

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, 3 * third)

    stage = _Stage(
        layout, sentences, mode=mode, seeds=seeds, guards=guards or Guards(), folder=folder
    )
    right = stage.speak(truth, "shipped", tell)
    forced = stage.forced(other, [one.trace for one in right])
    tell(2 * third)
    free = stage.speak(other, "other", lambda done: tell(2 * third + done))
    frames = [sum(len(one.trace.spoken) for one in said) for said in (right, free)]
    return Comparison(
        mode=mode,
        seeds=tuple(seeds),
        forced=forced,
        frames_ratio=frames[1] / max(1, frames[0]),
        shipped=stage.summary(right),
        other=stage.summary(free),
        sentences=stage.lines(right, free),
    )


class _Stage:
    """Where both speak: the same sentences, voices and seeds."""

    def __init__(
        self,
        layout: Layout,
        sentences: Sequence[Sentence],
        *,
        mode: Mode,
        seeds: Sequence[int],
        guards: Guards,
        folder: Path | None,
    ) -> None:
        self._shape = layout.shape
        self._prompt = Prompt(layout.manifest)
        self._sentences = sentences
        self._mode: Mode = mode
        self._seeds = seeds
        self._guards = guards
        self._folder = folder
        self._capacity = max(
            len(self._prompt.whole(one.codes, one.tokens)) + frame_cap(len(one.tokens), guards)
            for one in sentences
        )

    def speak(self, parts: Parts, name: str, done: Callable[[int], None]) -> list[_Utterance]:
        """All sentences with all seeds, sentence by sentence."""
        model = parts.language_model(1, self._capacity)
        sampler, decoder = parts.sampler(self._mode), parts.decoder()
        said: list[_Utterance] = []
        for sentence in self._sentences:
            for seed in self._seeds:
                trace = record(
                    model,
                    sampler,
                    self._prompt,
                    Probe(sentence.codes, sentence.tokens, self._mode, seed),
                    most_frames=frame_cap(len(sentence.tokens), self._guards),
                    codebook_size=self._shape.codebook_size,
                )
                sound = _decoded(decoder, trace.codes, self._shape)
                if seed == self._seeds[0] and self._folder is not None:
                    write_wav(self._folder / f"{sentence.name}-{name}.wav", sound, self._shape)
                silent = loudness_db(sound, self._shape.frame_samples) < SILENT_DB
                fault = self._fault(sentence, trace, sound)
                said.append(_Utterance(trace, fault, [bool(quiet) for quiet in silent]))
                done(len(said))
        parts.unload()
        return said

    def forced(self, other: Parts, traces: Sequence[Trace]) -> Forced:
        model = other.language_model(_SEATS, self._capacity)
        hidden = follow(model, traces)
        apart = distance([trace.hidden for trace in traces], hidden)
        rival, size = other.sampler(self._mode), self._shape.codebook_size
        tally, right, given = Tally(), list[Ints](), list[Ints]()
        for trace, states in zip(traces, hidden, strict=True):
            frames = sampled(rival, trace, states, size)
            tally = tally.plus(compared(trace, frames, None, size))
            right.append(places(trace.frames))
            given.append(places(frames))
        other.unload()
        stops, firsts = _shares(np.concatenate(right), np.concatenate(given))
        return Forced(
            hidden_snr_db=apart.snr_db,
            hidden_worst=apart.worst,
            stop_agreement=stops,
            first_code_agreement=firsts,
            code_agreement=tally.agreement,
        )

    def summary(self, said: Sequence[_Utterance]) -> Spoken:
        frames = [len(one.trace.spoken) for one in said]
        faults = [one.fault for one in said]
        silent = [quiet for one in said for quiet in one.silent]
        longest = max(_longest(one.silent) for one in said)
        return Spoken(
            utterances=len(said),
            frames_mean=float(np.mean(frames)),
            frames_median=float(np.median(frames)),
            stopped_rate=sum(one.trace.has_stopped for one in said) / len(said),
            fault_rates={fault: faults.count(fault) / len(said) for fault in get_args(Fault)},
            silent_share=float(np.mean(silent)) if silent else 0.0,
            longest_silence_s=longest * self._shape.frame_samples / self._shape.sample_rate,
        )

    def lines(self, right: Sequence[_Utterance], other: Sequence[_Utterance]) -> tuple[Line, ...]:
        seeds = len(self._seeds)
        found: list[Line] = []
        for at, sentence in enumerate(self._sentences):
            of = slice(at * seeds, (at + 1) * seeds)
            found.append(
                Line(
                    name=sentence.name,
                    voice=sentence.voice,
                    frames=tuple(len(one.trace.spoken) for one in right[of]),
                    frames_other=tuple(len(one.trace.spoken) for one in other[of]),
                    faults=tuple(one.fault for one in right[of]),
                    faults_other=tuple(one.fault for one in other[of]),
                )
            )
        return tuple(found)

    def _fault(self, sentence: Sentence, trace: Trace, sound: Floats) -> str:
        watch = Watch(sentence.text, len(sentence.tokens), self._guards)
        for codes in trace.codes:
            if (finding := watch.hear(codes)) is not None:
                return finding.fault
        quiet = Hush(self._shape.frame_samples, self._guards).hear(sound)
        finding = quiet or (watch.end() if trace.has_stopped else None)
        return finding.fault if finding else ""


def write_wav(path: Path, sound: Floats, shape: Shape) -> None:
    """16-bit, as the official runtime rounds it; `sound` float32 [channels, samples]."""
    steps = np.round(np.clip(sound, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(shape.channels)
        file.setsampwidth(2)
        file.setframerate(shape.sample_rate)
        file.writeframes(steps.T.tobytes())


def _decoded(decoder: Decoder, codes: Ints, shape: Shape) -> Floats:
    state = decoder.start()
    cuts = range(0, len(codes), _PIECE_FRAMES)
    pieces = [decoder.decode(state, codes[at : at + _PIECE_FRAMES]) for at in cuts]
    return np.concatenate([np.zeros((shape.channels, 0), dtype=np.float32), *pieces], axis=1)


def _shares(right: Ints, given: Ints) -> tuple[float, float]:
    """How often both go on or both end; how often the first code is the same when both go on."""
    alike = right[:, 0] == given[:, 0]
    both = (right[:, 0] == 1) & (given[:, 0] == 1)
    firsts = right[both, 1] == given[both, 1]
    return float(alike.mean()), float(firsts.mean()) if firsts.size else 1.0


def _longest(silent: Sequence[bool]) -> int:
    longest = run = 0
    for quiet in silent:
        run = run + 1 if quiet else 0
        longest = max(longest, run)
    return longest
