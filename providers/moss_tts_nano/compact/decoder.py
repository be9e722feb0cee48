"""The codec's decoder on its compact graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from providers.moss_tts_nano.memory import sparse_zeros
from providers.moss_tts_nano.metadata import CodecMeta
from providers.moss_tts_nano.parts import CodecState, Floats, Ints, Shape

CALL_FRAMES = 8
"""Of one call of the graph. More make the caches larger, and what is looked at in vain."""


class _Cache(NamedTuple):
    """One attention's keys or values."""

    name: str
    heads: int
    width: int
    steps: int
    """In a frame."""
    context: int

    @property
    def most(self) -> int:
        """Room in which steps go round."""
        return self.context + CALL_FRAMES * self.steps

    def room(self, frames: int) -> int:
        return min(self.most, frames * self.steps)

    def shape(self, room: int) -> tuple[int, ...]:
        """Of a cache with so much room."""
        return room, 1, self.heads, self.width


class DecoderGraph:
    """The session, and what the caches have to be like."""

    def __init__(self, session: onnxruntime.InferenceSession, meta: CodecMeta) -> None:
        self.session = session
        self.offsets = sum(each.name.startswith("offset_") for each in session.get_inputs())
        self.codebooks = meta.codec_config.num_quantizers
        specs = meta.streaming_decode.attention_caches
        unknown = [
            _Cache(f"{what}_{at}", spec.num_heads, spec.head_dim, 1, spec.context)
            for at, spec in enumerate(specs)
            for what in ("key", "value")
        ]
        steps = self._steps(unknown, len(specs))
        self.caches = [cache._replace(steps=steps[at // 2]) for at, cache in enumerate(unknown)]

    def _steps(self, caches: list[_Cache], count: int) -> list[int]:
        """How many each attention takes for a frame: one frame tells, in caches of any room."""
        inputs: dict[str, Any] = {
            f"past_{each.name}": np.zeros(each.shape(1), np.float32) for each in caches
        }
        inputs |= {f"offset_{at}": np.zeros(1, np.int32) for at in range(self.offsets)}
        inputs["codes"] = np.zeros((1, 1, self.codebooks), np.int32)
        inputs["frames"] = np.ones(1, np.int32)
        told = self.session.run([f"steps_{at}" for at in range(count)], inputs)
        return [int(each[0]) for each in told]


class RingState:
    """What one stream's attentions still see, and how far the stream is."""

    def __init__(self, graph: DecoderGraph) -> None:
        self._graph = graph
        self._binding = graph.session.io_binding()
        self._offsets = np.zeros((2, graph.offsets, 1), np.int32)
        self._frames = np.zeros(1, np.int32)
        self._read("frames", self._frames)
        for at in range(graph.offsets):
            self._read(f"offset_{at}", self._offsets[0, at])
            self._write(f"offset_out_{at}", self._offsets[1, at])
        self._caches = [sparse_zeros(each.shape(each.most)) for each in graph.caches]
        self.rooms = [0] * len(self._caches)
        """How many steps of each the graph sees."""

    def run(self, codes: Ints, audio: Floats) -> None:
        """`codes` [1, frames, codebooks], no more than `CALL_FRAMES`; `audio` [1, channels,
        samples]"""
        self._frames[0] += codes.shape[1]
        self._widen(int(self._frames[0]))
        self._read("codes", codes)
        self._write("audio", audio)
        self._graph.session.run_with_iobinding(self._binding)
        self._offsets[0] = self._offsets[1]

    def _widen(self, frames: int) -> None:
        """Show as much as is written after so many frames: nothing is looked at in vain."""
        for at, each in enumerate(self._graph.caches):
            room = each.room(frames)
            if room != self.rooms[at]:
                self.rooms[at], seen = room, self._caches[at][:room]
                self._read(f"past_{each.name}", seen)
                self._write(f"present_{each.name}", seen)

    def _read(self, name: str, array: Ints | Floats) -> None:
        self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def _write(self, name: str, array: Ints | Floats) -> None:
        self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


class CompactDecoder:
    """`Decoder` of the parts."""

    def __init__(self, graph: DecoderGraph, shape: Shape) -> None:
        self._graph, self._shape = graph, shape

    def start(self) -> CodecState:
        return RingState(self._graph)

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        assert isinstance(state, RingState)
        codes = np.ascontiguousarray(codes, np.int32)
        sound = [
            self._call(state, codes[None, first : first + CALL_FRAMES])
            for first in range(0, len(codes), CALL_FRAMES)
        ]
        return np.concatenate(sound, axis=1) if len(sound) > 1 else sound[0]

    def _call(self, state: RingState, codes: Ints) -> Floats:
        samples = codes.shape[1] * self._shape.frame_samples
        audio = np.empty((1, self._shape.channels, samples), np.float32)
        state.run(codes, audio)
        sound: Floats = audio[0]
        return sound
