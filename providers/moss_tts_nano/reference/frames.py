"""The local transformer over whichever of its graphs are shipped."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.metadata import TtsConfig
from providers.moss_tts_nano.parts import Draws, Floats, Frames, Ints
from providers.moss_tts_nano.sampling import (
    Sampling,
    best_code,
    goes_on,
    sampled_code,
    sampled_goes_on,
)
from providers.moss_tts_nano.sessions import Graph

_HIDDEN, _TEXT, _AUDIO = 0, 1, 2
"""What `step_type` embeds: the hidden state, a text token, a code."""


class FixedFrames:
    """The graph that samples inside itself, with its own constants."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def sample(self, hidden: Floats, seen: Ints, draws: Draws) -> Frames:
        outputs = self._graph.run(
            {
                "global_hidden": hidden,
                "repetition_seen_mask": seen,
                "assistant_random_u": draws.text,
                "audio_random_u": draws.audio,
            }
        )
        return _frames(outputs)


class GreedyFrames:
    """The graph that chooses the likeliest inside itself; its exporter knows it, the published
    model has none."""

    def __init__(self, graph: Graph, sampling: Sampling) -> None:
        self._graph = graph
        self._penalty = np.array([sampling.repetition_penalty], dtype=np.float32)

    def sample(self, hidden: Floats, seen: Ints, draws: Draws) -> Frames:
        # One row a call: the exporter is not at one with itself whether the penalty is per row.
        rows = [self._one(hidden[row : row + 1], seen[row : row + 1]) for row in range(len(hidden))]
        return Frames(
            np.concatenate([row.goes_on for row in rows]),
            np.concatenate([row.codes for row in rows]),
        )

    def _one(self, hidden: Floats, seen: Ints) -> Frames:
        feeds = {"global_hidden": hidden, "repetition_seen_mask": seen}
        return _frames(self._graph.run(feeds | {"repetition_penalty": self._penalty}))


class Frame(Protocol):
    """One frame in the making: its logits, in the order in which they are asked for."""

    def text(self) -> Floats:
        """[vocabulary]; asked for first."""
        ...

    def audio(self, text_token: int, codes: list[int]) -> Floats:
        """[codebook_size], of the codebook after those whose codes are chosen."""
        ...


class FrameGraph(Protocol):
    """A local transformer whose logits come out."""

    def begin(self, hidden: Floats) -> Frame:
        """`hidden` [1, hidden]"""
        ...


class HostFrames:
    """Sampling on the host, in mode `full` or `greedy`; row after row, codebook after codebook."""

    def __init__(
        self, graph: FrameGraph, config: TtsConfig, mode: Mode, sampling: Sampling
    ) -> None:
        self._graph = graph
        self._codebooks = config.n_vq
        self._continue = config.audio_assistant_slot_token_id
        self._stop = config.audio_end_token_id
        self._is_greedy = mode == "greedy"
        self._sampling = sampling

    def sample(self, hidden: Floats, seen: Ints, draws: Draws) -> Frames:
        goes_on = np.zeros(len(hidden), dtype=np.bool_)
        codes = np.zeros((len(hidden), self._codebooks), dtype=np.int32)
        for row in range(len(hidden)):
            frame = self._graph.begin(hidden[row : row + 1])
            goes_on[row] = self._goes_on(frame.text(), float(draws.text[row]))
            if goes_on[row]:
                codes[row] = self._codes(frame, seen[row] != 0, draws.audio[row])
        return Frames(goes_on, codes)

    def _goes_on(self, logits: Floats, u: float) -> bool:
        choice = logits[[self._continue, self._stop]]
        if self._is_greedy:
            return goes_on(float(choice[0]), float(choice[1]))
        return sampled_goes_on(choice, self._sampling, u)

    def _codes(self, frame: Frame, seen: NDArray[np.bool_], draws: NDArray[Any]) -> list[int]:
        codes: list[int] = []
        for heard, u in zip(seen, draws, strict=True):
            logits = frame.audio(self._continue, codes)
            if self._is_greedy:
                codes.append(best_code(logits, heard, self._sampling.repetition_penalty))
            else:
                codes.append(sampled_code(logits, heard, self._sampling, float(u)))
        return codes


class Stepping:
    """The graph that takes one position after the other, with keys and values kept for a frame."""

    def __init__(self, graph: Graph, layout: Layout) -> None:
        self._graph = graph
        presents = layout.tts.onnx.local_cached_output_names[2:]
        self._past_of = {name: name.replace("local_present_", "local_past_") for name in presents}
        config = layout.tts.model_config
        self._empty = np.zeros((1, 0, config.local_heads, config.local_head_dim), dtype=np.float32)

    def begin(self, hidden: Floats) -> Frame:
        return _Steps(self._graph, hidden, self._past_of, self._empty)


class _Steps:
    def __init__(
        self, graph: Graph, hidden: Floats, past_of: dict[str, str], empty: Floats
    ) -> None:
        self._graph = graph
        self._hidden = hidden
        self._past_of = past_of
        self._past: dict[str, NDArray[Any]] = dict.fromkeys(past_of.values(), empty)
        self._position = 0

    def text(self) -> Floats:
        logits: Floats = self._step(_HIDDEN)["text_logits"][0]
        return logits

    def audio(self, text_token: int, codes: list[int]) -> Floats:
        if codes:
            outputs = self._step(_AUDIO, code=codes[-1], codebook=len(codes) - 1)
        else:
            outputs = self._step(_TEXT, text_token=text_token)
        logits: Floats = outputs["audio_logits"][0, len(codes)]
        return logits

    def _step(
        self, kind: int, text_token: int = 0, code: int = 0, codebook: int = 0
    ) -> dict[str, NDArray[Any]]:
        numbers = {
            "text_token_id": text_token,
            "audio_token_id": code,
            "channel_index": codebook,
            "step_type": kind,
            "past_valid_lengths": self._position,
        }
        feeds: dict[str, NDArray[Any]] = {
            name: np.array([number], dtype=np.int32) for name, number in numbers.items()
        }
        outputs = self._graph.run(feeds | {"global_hidden": self._hidden} | self._past)
        self._past = {past: outputs[present] for present, past in self._past_of.items()}
        self._position += 1
        return outputs


class Recomputing:
    """The graph without a memory: each position again from the start."""

    def __init__(self, graph: Graph, config: TtsConfig) -> None:
        self._graph = graph
        self._config = config

    def begin(self, hidden: Floats) -> Frame:
        return _Recomputed(self._graph, hidden, self._config)


class _Recomputed:
    def __init__(self, graph: Graph, hidden: Floats, config: TtsConfig) -> None:
        self._graph = graph
        self._hidden = hidden
        self._places = config.n_vq - 1
        self._padding = config.audio_pad_token_id

    def text(self) -> Floats:
        logits: Floats = self._run(0, [])["text_logits"][0]
        return logits

    def audio(self, text_token: int, codes: list[int]) -> Floats:
        logits: Floats = self._run(text_token, codes)["audio_logits"][0, len(codes)]
        return logits

    def _run(self, text_token: int, codes: list[int]) -> dict[str, NDArray[Any]]:
        prefix = np.full((1, self._places), self._padding, dtype=np.int32)
        prefix[0, : len(codes)] = codes
        return self._graph.run(
            {
                "global_hidden": self._hidden,
                "text_token_id": np.array([text_token], dtype=np.int32),
                "audio_prefix_token_ids": prefix,
            }
        )


def _frames(outputs: dict[str, NDArray[Any]]) -> Frames:
    codes: Ints = outputs["frame_token_ids"].reshape(outputs["frame_token_ids"].shape[0], -1)
    return Frames(outputs["should_continue"].reshape(-1) != 0, codes)
