"""All parts of one model over its compact graphs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from providers.moss_tts_nano.compact.build import TABLES, Part, alone_file, graph_file
from providers.moss_tts_nano.compact.decoder import CompactDecoder, DecoderGraph
from providers.moss_tts_nano.compact.embedding import Embedding
from providers.moss_tts_nano.compact.encoder import CompactEncoder
from providers.moss_tts_nano.compact.frame_sampler import CompactFrameSampler, GreedyFrameSampler
from providers.moss_tts_nano.compact.language_model import CompactLanguageModel, Sessions
from providers.moss_tts_nano.compact.shipped import CannotRebuild
from providers.moss_tts_nano.compact.store import Built
from providers.moss_tts_nano.draws import Mode
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.parts import Decoder, Encoder, FrameSampler, LanguageModel
from providers.moss_tts_nano.sampling import Sampling, sampling_of
from providers.moss_tts_nano.sessions import Graph


class Compact:
    """A graph is loaded when its part is asked for; parts of one kind share it, and each worker
    takes parts of its own."""

    def __init__(self, layout: Layout, built: Built, threads: int, wide: int = 1) -> None:
        """`threads` work on one node of a graph at a time; `wide` do where somebody waits and
        nobody else is held up: for a row that is alone, its prompt, and a clip."""
        self._layout, self._built = layout, built
        self.threads, self.wide = threads, max(threads, wide)
        counts: dict[Part, int] = {
            "language_model": threads,
            "frames": threads,
            "decoder": threads,
            "encoder": self.wide,
        }
        self._graphs = {  # a decoder's shapes are other ones in each call
            part: Graph(built.folder / graph_file(part), count, patterns=part != "decoder")
            for part, count in counts.items()
            if part not in built.refused
        }
        self._alone = {
            part: Graph(path, self.wide if part == "language_model" else threads)
            for part in self._graphs
            if (path := built.folder / alone_file(part)).is_file()
        }
        self._prompt: dict[Part, Graph] = {}
        if "language_model" in self._graphs and self.wide > threads:
            path = built.folder / graph_file("language_model")
            self._prompt["language_model"] = Graph(path, self.wide)

    def load(self, parts: Sequence[Part] = ("language_model", "frames", "decoder")) -> None:
        """Load these parts' graphs beforehand, side by side. Blocking.

        Raises: CannotLoad
        """
        sets = self._graphs, self._alone, self._prompt
        graphs = [each[part] for each in sets for part in parts if part in each]
        with ThreadPoolExecutor(max(1, len(graphs))) as pool:
            for _ in pool.map(Graph.load, graphs):
                pass

    def language_model(self, seats: int, capacity: int) -> LanguageModel:
        """Raises: CannotRebuild, CannotLoad"""
        many = self._graph("language_model")
        prompt = self._prompt.get("language_model", many)
        one = self._alone.get("language_model", prompt)
        embedding = Embedding(self._built.folder / TABLES, self._layout.shape)
        heads = self._layout.tts.model_config.global_heads
        sessions = Sessions(many.load(), one.load(), prompt.load())
        return CompactLanguageModel(sessions, embedding, heads, seats, capacity)

    def sampler(self, mode: Mode, sampling: Sampling | None = None) -> FrameSampler:
        """Modes `fixed` and `greedy`; `sampling` is for the latter's penalty.

        Raises: CannotRebuild, CannotLoad
        """
        sampling = sampling or sampling_of(self._layout.manifest.generation_defaults)
        inside = self._layout.tts.onnx.fixed_sampled_frame_constants["audio_repetition_penalty"]
        if mode == "full" or (mode == "greedy" and sampling.repetition_penalty != inside):
            raise CannotRebuild("the compact graph samples by its own constants only.")
        many = self._graph("frames")
        fixed = CompactFrameSampler(many.load(), self._alone.get("frames", many).load())
        return fixed if mode == "fixed" else GreedyFrameSampler(fixed)

    def decoder(self) -> Decoder:
        """Raises: CannotRebuild, CannotLoad"""
        graph = DecoderGraph(self._graph("decoder").load(), self._layout.codec)
        return CompactDecoder(graph, self._layout.shape)

    def encoder(self) -> Encoder:
        """Raises: CannotRebuild, CannotLoad"""
        return CompactEncoder(self._graph("encoder").load(), self._layout.shape)

    def unload(self) -> None:
        """A part that is in use keeps its graph."""
        for graphs in (self._graphs, self._alone, self._prompt):
            for graph in graphs.values():
                graph.unload()

    def _graph(self, part: Part) -> Graph:
        if part not in self._graphs:
            raise CannotRebuild(self._built.refused[part])
        return self._graphs[part]
