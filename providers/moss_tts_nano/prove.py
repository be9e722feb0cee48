"""Holds a faster set of parts against the shipped graphs, on this machine, part by part.

Nothing is believed of a rebuilt graph: it is used where it was seen to give the same. Each part is
fed with what the shipped ones gave, so that one part's fault is not told of another.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np

from providers.moss_tts_nano.compact.shipped import CannotRebuild
from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.parts import Decoder, Floats, Frames, FrameSampler, Ints
from providers.moss_tts_nano.prompt import Prompt
from providers.moss_tts_nano.proof.agreement import Tally, codes_alike, compared, distance
from providers.moss_tts_nano.proof.probes import codes_to_decode, pieces, probes
from providers.moss_tts_nano.proof.trace import Parts, Trace, can_keep, follow, record, sampled
from providers.moss_tts_nano.proof.verdict import (
    EXACT,
    INT8,
    PARTS,
    Bounds,
    PartName,
    Proof,
    Verdict,
)

__all__ = ["EXACT", "INT8", "PARTS", "Bounds", "PartName", "Proof", "Prover", "Verdict"]

_DECODED_FRAMES = 160
"""Longer than the codec's longest window, which is 10 s, 125 frames."""
_ROWS = 8
"""Rows that go through a sampler together."""
_BEYOND_SAMPLES = 1234
"""Samples of a clip after its last whole frame."""


class Prover:
    """The shipped models are run first and unloaded before their rivals are loaded, save for small
    graphs, so that no two large ones are in memory together."""

    def __init__(
        self,
        truth: Parts,
        layout: Layout,
        bounds: Bounds = EXACT,
        *,
        frames: int = 32,
        clip_frames: int = 130,
    ) -> None:
        """So many frames are made by each of four probes, of which two are greedy. The longest
        clip outlasts the encoder's longest window, 10 s; the shipped encoder wants 1.2 GB for it,
        as much as the two shipped graphs of the language model."""
        self._truth = truth
        self._layout = layout
        self._shape = layout.shape
        self._bounds = bounds
        self._frames = frames
        self._clips = (clip_frames, 1, 19)
        self._traces: list[Trace] = []
        self._checks: dict[PartName, Callable[[Parts], Verdict]] = {
            "language_model": self._language_model,
            "fixed_frames": lambda other: self._sampler(other, "fixed_frames", "fixed"),
            "greedy_frames": lambda other: self._sampler(other, "greedy_frames", "greedy"),
            "decoder": self._decoder,
            "encoder": self._encoder,
        }

    def prove(self, other: Parts, parts: Sequence[PartName] = PARTS) -> Proof:
        return Proof(tuple(self.verdicts(other, parts)))

    def verdicts(
        self, other: Parts, parts: Sequence[PartName] = PARTS
    ) -> Generator[Verdict, None, None]:
        """One after the other, so that whoever asks may stop in between. What a check raises
        becomes its verdict. Raises CannotLoad: the shipped model itself does not run."""
        self._traces = self._traces or self._recorded()
        for part in parts:
            try:
                verdict = self._checks[part](other)
            except CannotRebuild as error:
                verdict = _verdict(part, f"it cannot be rebuilt: {error.reason}", {})
            except Exception as error:  # a graph that cannot run is not proven
                reason = " ".join(str(error).split())[:200]
                why = f"it failed with {type(error).__name__}: {reason}"
                verdict = Verdict(part=part, proven=False, why=why, measured={}, failed=True)
            other.unload()
            yield verdict

    def _recorded(self) -> list[Trace]:
        prompt, asked = Prompt(self._layout.manifest), probes(self._layout)
        longest = max(len(prompt.whole(probe.voice, probe.tokens)) for probe in asked)
        model = self._truth.language_model(1, longest + self._frames)
        traces = [
            record(
                model,
                self._truth.sampler(probe.mode),
                prompt,
                probe,
                most_frames=self._frames,
                codebook_size=self._shape.codebook_size,
            )
            for probe in asked
        ]
        self._truth.unload()
        return traces

    def _language_model(self, other: Parts) -> Verdict:
        longest = max(trace.rows for trace in self._traces)
        model = other.language_model(len(self._traces), longest)
        heard = follow(model, self._traces)
        kept = follow(model, self._traces, keeps=True) if can_keep(model, self._traces[0]) else []
        alone = follow(model, self._traces[:1])
        del model
        other.unload()
        right = [trace.hidden for trace in self._traces]
        both = (
            distance(right * 2 if kept else right, heard + kept),
            distance(right[:1], alone),
        )
        worst, snr_db = max(each.worst for each in both), min(each.snr_db for each in both)
        tally = Tally()
        for trace, hidden in zip(self._traces, heard, strict=True):
            truth = self._truth.sampler(trace.mode)
            got = sampled(truth, trace, hidden, self._shape.codebook_size)
            tally = tally.plus(self._compared(trace, got, truth))
        self._truth.unload()
        measured = {"hidden_worst": worst, "hidden_snr_db": snr_db, **_figures(tally)}
        wrong = self._far(worst, snr_db) or self._unlike(tally)
        return _verdict("language_model", wrong, measured)

    def _sampler(self, other: Parts, part: PartName, mode: Mode) -> Verdict:
        traces = [trace for trace in self._traces if trace.mode == mode]
        if not traces:
            return _verdict(part, "the model ships no graph to hold it against", {})
        rival, truth = other.sampler(mode), self._truth.sampler(mode)
        alone, together = (
            self._tallied(traces, rival, truth, together=rows) for rows in (1, _ROWS)
        )
        self._truth.unload()
        wrong = self._unlike(alone) or self._unlike(together)
        return _verdict(part, wrong, _figures(alone.plus(together)))

    def _tallied(
        self, traces: Sequence[Trace], rival: FrameSampler, truth: FrameSampler, *, together: int
    ) -> Tally:
        tally = Tally()
        for trace in traces:
            got = sampled(rival, trace, trace.hidden, self._shape.codebook_size, together)
            tally = tally.plus(self._compared(trace, got, truth))
        return tally

    def _compared(self, trace: Trace, got: Frames, truth: FrameSampler) -> Tally:
        strict = self._bounds.different_frames is not None
        return compared(trace, got, truth if strict else None, self._shape.codebook_size)

    def _decoder(self, other: Parts) -> Verdict:
        codes = self._codes_to_decode()
        expected = self._decoded(codes)
        together = _two_streams(other.decoder(), codes)
        apart = distance([expected, expected], together)
        measured = {
            "frames": float(len(codes)),
            "samples_worst": apart.worst,
            "samples_snr_db": apart.snr_db,
        }
        near = apart.worst <= self._bounds.samples_worst
        wrong = "" if near else f"samples differ by up to {apart.worst:.2g}"
        return _verdict("decoder", wrong, measured)

    def _encoder(self, other: Parts) -> Verdict:
        sound = np.clip(self._decoded(self._codes_to_decode()), -1, 1)
        lengths = [frames * self._shape.frame_samples + _BEYOND_SAMPLES for frames in self._clips]
        clips = [sound[:, :length] for length in lengths]
        expected = [self._truth.encoder().encode(clip) for clip in clips]
        self._truth.unload()
        rival = other.encoder()
        given = [rival.encode(clip) for clip in clips]
        if [codes.shape for codes in expected] != [codes.shape for codes in given]:
            return _verdict("encoder", "it gives another number of frames", {})
        share = codes_alike(np.concatenate(expected), np.concatenate(given))
        near = share >= self._bounds.clip_codes
        wrong = "" if near else f"only {share:.1%} of a clip's codes are equal"
        return _verdict("encoder", wrong, {"codes_agreement": share})

    def _codes_to_decode(self) -> Ints:
        spoken = [trace.codes for trace in self._traces]
        return codes_to_decode(spoken, self._shape, _DECODED_FRAMES)

    def _decoded(self, codes: Ints) -> Floats:
        decoder = self._truth.decoder()
        state = decoder.start()
        sound = [decoder.decode(state, codes[at : at + 8]) for at in range(0, len(codes), 8)]
        self._truth.unload()
        return np.concatenate(sound, axis=1)

    def _far(self, worst: float, snr_db: float) -> str:
        bounds = self._bounds
        if bounds.hidden_worst is not None and not worst <= bounds.hidden_worst:
            return f"hidden states differ by up to {worst:.2g}"
        if bounds.hidden_snr_db is not None and not snr_db >= bounds.hidden_snr_db:
            return f"hidden states are right to {snr_db:.0f} dB only"
        return ""

    def _unlike(self, tally: Tally) -> str:
        bounds = self._bounds
        if bounds.different_frames is not None and tally.different > bounds.different_frames:
            return f"{tally.different} of {tally.frames} frames differ"
        if bounds.tied_frames is not None and tally.tied > bounds.tied_frames:
            return f"{tally.tied} of {tally.frames} frames differ on a border, which is too many"
        if tally.agreement < bounds.frame_codes:
            return f"only {tally.agreement:.1%} of the codes are equal"
        return ""


def _two_streams(decoder: Decoder, codes: Ints) -> list[Floats]:
    """The same frames twice, in different pieces and by turns, so that a state that is not the
    stream's own shows."""
    sounds: list[list[Floats]] = [[], []]
    states = [decoder.start(), decoder.start()]
    cuts = [list(pieces(len(codes))), list(pieces(len(codes), begin=3))]
    for turn in range(max(map(len, cuts))):
        for sound, state, cut in zip(sounds, states, cuts, strict=True):
            if turn < len(cut):
                sound.append(decoder.decode(state, codes[cut[turn]]).copy())
    return [np.concatenate(sound, axis=1) for sound in sounds]


def _figures(tally: Tally) -> dict[str, float]:
    return {
        "frames": float(tally.frames),
        "frames_tied": float(tally.tied),
        "frames_different": float(tally.different),
        "codes_agreement": tally.agreement,
    }


def _verdict(part: PartName, wrong: str, measured: dict[str, float]) -> Verdict:
    return Verdict(part=part, proven=not wrong, why=wrong, measured=measured)
