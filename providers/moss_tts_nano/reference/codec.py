"""The codec over its three shipped graphs."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from providers.moss_tts_nano.metadata import CodecMeta, StreamingDecode
from providers.moss_tts_nano.parts import CodecState, Floats, Ints, Shape
from providers.moss_tts_nano.sessions import Graph


class _Carried:
    """The state tensors by the names under which they go in; all new after each call."""

    __slots__ = ("feeds",)

    def __init__(self, feeds: dict[str, NDArray[Any]]) -> None:
        self.feeds = feeds


class StepDecoder:
    """Frames as they come; the whole state goes in and out of each call (25 MB at real size)."""

    def __init__(self, graph: Graph, meta: CodecMeta) -> None:
        self._graph = graph
        self._streaming = meta.streaming_decode
        self._carried = _carried(meta.streaming_decode)

    def start(self) -> CodecState:
        return _Carried(_at_rest(self._streaming))

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        carried = cast("_Carried", state)
        lengths = np.array([len(codes)], dtype=np.int32)
        feeds = {"audio_codes": codes[None], "audio_code_lengths": lengths}
        outputs = self._graph.run(feeds | carried.feeds)
        carried.feeds = {name: outputs[output] for name, output in self._carried.items()}
        return _samples(outputs)


class FullDecoder:
    """All frames at once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def decode(self, codes: Ints) -> Floats:
        """`codes` int32 [frames, codebooks], at least one frame; gives float32 [channels, frames *
        frame_samples]."""
        lengths = np.array([len(codes)], dtype=np.int32)
        return _samples(
            self._graph.run({"audio_codes": codes[None], "audio_code_lengths": lengths})
        )


class WholeEncoder:
    """A clip at once: the time it takes grows with the square of its length (10 s: 2.9 s)."""

    def __init__(self, graph: Graph, shape: Shape) -> None:
        self._graph = graph
        self._shape = shape

    def encode(self, samples: Floats) -> Ints:
        # What the graph makes of a frame that is not full is unknown, so none is ever given.
        length, frame = samples.shape[1], self._shape.frame_samples
        if length < frame:
            return np.zeros((0, self._shape.codebooks), dtype=np.int32)
        padded = np.pad(samples, ((0, 0), (0, -length % frame)))
        outputs = self._graph.run(
            {"waveform": padded[None], "input_lengths": np.array([length], dtype=np.int32)}
        )
        frames = min(int(outputs["audio_code_lengths"].reshape(-1)[0]), length // frame)
        codes: Ints = outputs["audio_codes"][0, :frames]
        return np.ascontiguousarray(codes)


def _samples(outputs: dict[str, NDArray[Any]]) -> Floats:
    length = int(outputs["audio_lengths"].reshape(-1)[0])
    samples: Floats = outputs["audio"][0, :, :length]
    return samples


def _at_rest(streaming: StreamingDecode) -> dict[str, NDArray[Any]]:
    """The state before the first frame, as the metadata describes it."""
    feeds: dict[str, NDArray[Any]] = {
        spec.input_name: np.zeros(spec.shape, spec.dtype) for spec in streaming.transformer_offsets
    }
    for cache in streaming.attention_caches:
        feeds[cache.offset_input_name] = np.zeros(cache.offset_shape, np.int32)
        feeds[cache.cached_keys_input_name] = np.zeros(cache.cache_shape, cache.cache_dtype)
        feeds[cache.cached_values_input_name] = np.zeros(cache.cache_shape, cache.cache_dtype)
        positions = np.full(cache.positions_shape, -1, cache.positions_dtype)
        feeds[cache.cached_positions_input_name] = positions
    return feeds


def _carried(streaming: StreamingDecode) -> dict[str, str]:
    """Each state input with the output that feeds it the next time."""
    pairs = {spec.input_name: spec.output_name for spec in streaming.transformer_offsets}
    for cache in streaming.attention_caches:
        pairs[cache.offset_input_name] = cache.offset_output_name
        pairs[cache.cached_keys_input_name] = cache.cached_keys_output_name
        pairs[cache.cached_values_input_name] = cache.cached_values_output_name
        pairs[cache.cached_positions_input_name] = cache.cached_positions_output_name
    return pairs
