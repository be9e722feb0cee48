"""The codec's decoder on its compact graph."""

from __future__ import annotations

import numpy as np
import onnxruntime

from providers.moss_tts_nano.parts import CodecState, Floats, Ints, Shape


class WindowState:
    """What one stream's attentions still see, and how far the stream is."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        shapes = {value.name: value.shape for value in session.get_inputs()}
        pasts = [name for name in shapes if name.startswith("past_")]
        self._caches = {name: np.zeros(shapes[name], np.float32) for name in pasts}
        count = sum(name.startswith("offset_") for name in shapes)
        self._offsets = np.zeros((2, count, 1), np.int32)
        self._frames = np.zeros(1, np.int32)
        self._session = session
        self._binding = session.io_binding()
        self._bind(count)

    def _bind(self, offsets: int) -> None:
        """Everything stays where it is from call to call, but for codes and audio."""
        self._read("frames", self._frames)
        for at in range(offsets):
            self._read(f"offset_{at}", self._offsets[0, at])
            self._write(f"offset_out_{at}", self._offsets[1, at])
        for name, cache in self._caches.items():
            self._read(name, cache)
            self._write(name.replace("past_", "present_"), cache)

    def run(self, codes: Ints, audio: Floats) -> None:
        """`codes` [1, frames, codebooks], `audio` [1, channels, samples]"""
        self._read("codes", codes)
        self._write("audio", audio)
        self._frames += codes.shape[1]
        self._session.run_with_iobinding(self._binding)
        self._offsets[0] = self._offsets[1]

    def _read(self, name: str, array: Ints | Floats) -> None:
        self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def _write(self, name: str, array: Ints | Floats) -> None:
        self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


class CompactDecoder:
    """`Decoder` of the parts. Streams may be decoded from several threads, each stream from one at
    a time."""

    def __init__(self, session: onnxruntime.InferenceSession, shape: Shape) -> None:
        self._session, self._shape = session, shape

    def start(self) -> CodecState:
        return WindowState(self._session)

    def decode(self, state: CodecState, codes: Ints) -> Floats:
        assert isinstance(state, WindowState)
        codes = np.ascontiguousarray(codes, np.int32)[None]
        samples = codes.shape[1] * self._shape.frame_samples
        audio = np.empty((1, self._shape.channels, samples), np.float32)
        state.run(codes, audio)
        sound: Floats = audio[0]
        return sound
