"""The shipped graphs as they are: the truth that everything faster is held against."""

from __future__ import annotations

from pathlib import Path

from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.parts import Decoder, Encoder, FrameSampler, LanguageModel
from providers.moss_tts_nano.reference.codec import FullDecoder, StepDecoder, WholeEncoder
from providers.moss_tts_nano.reference.frames import (
    FixedFrames,
    GreedyFrames,
    HostFrames,
    Recomputing,
    Stepping,
)
from providers.moss_tts_nano.reference.language import TwoGraphs
from providers.moss_tts_nano.sampling import Sampling, sampling_of
from providers.moss_tts_nano.sessions import Graph

__all__ = ["FullDecoder", "Reference"]


class Reference:
    """Parts over one set of shipped graphs; a graph is loaded when a part first runs it.

    Each worker takes parts of its own, and they share the graphs.
    """

    def __init__(self, layout: Layout, threads: int) -> None:
        """`threads` work on one node of a graph at a time."""
        self.layout = layout
        self._graphs = _unloaded(dict(layout.graphs), threads)
        self._codec_graphs = _unloaded(dict(layout.codec_graphs), threads)

    def language_model(self, seats: int, capacity: int) -> LanguageModel:
        graphs = self._graphs
        return TwoGraphs(
            graphs["prefill"], graphs["decode_step"], self.layout.tts.onnx, seats, capacity
        )

    def sampling_mode(self, mode: Mode) -> Mode:
        """The mode in which frames are really sampled: without its graph `fixed` is `full`."""
        if mode == "fixed" and "local_fixed_sampled_frame" not in self._graphs:
            return "full"
        return mode

    def sampler(self, mode: Mode, sampling: Sampling | None = None) -> FrameSampler:
        """A sampler that takes the draws of `sampling_mode(mode)`. `sampling` is for `full` and
        `greedy`; by default the model's own."""
        sampling = sampling or sampling_of(self.layout.manifest.generation_defaults)
        mode, graphs = self.sampling_mode(mode), self._graphs
        if mode == "fixed":
            return FixedFrames(graphs["local_fixed_sampled_frame"])
        if mode == "greedy" and "local_greedy_frame" in graphs:
            return GreedyFrames(graphs["local_greedy_frame"], sampling)
        config = self.layout.manifest.tts_config
        if "local_cached_step" in graphs:
            return HostFrames(
                Stepping(graphs["local_cached_step"], self.layout), config, mode, sampling
            )
        return HostFrames(Recomputing(graphs["local_decoder"], config), config, mode, sampling)

    def decoder(self) -> Decoder:
        return StepDecoder(self._codec_graphs["decode_step"], self.layout.codec)

    def full_decoder(self) -> FullDecoder:
        return FullDecoder(self._codec_graphs["decode_full"])

    def encoder(self) -> Encoder:
        return WholeEncoder(self._codec_graphs["encode"], self.layout.shape)

    def unload(self) -> None:
        """Give the graphs' memory back; whoever runs a part again loads its graph again."""
        for graph in (*self._graphs.values(), *self._codec_graphs.values()):
            graph.unload()


def _unloaded(paths: dict[str, Path], threads: int) -> dict[str, Graph]:
    return {role: Graph(path, threads) for role, path in paths.items()}
