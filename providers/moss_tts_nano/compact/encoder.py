"""The codec's encoder on its compact graph."""

from __future__ import annotations

import numpy as np
import onnxruntime

from providers.moss_tts_nano.parts import Floats, Ints, Shape


class CompactEncoder:
    """`Encoder` of the parts."""

    def __init__(self, session: onnxruntime.InferenceSession, shape: Shape) -> None:
        self._session, self._shape = session, shape
        self._waveform, *self._lengths = (each.name for each in session.get_inputs())

    def encode(self, samples: Floats) -> Ints:
        """Whole frames only: what is left over of the last one is not heard."""
        frame_samples = self._shape.frame_samples
        frames = samples.shape[1] // frame_samples
        if not frames:
            return np.empty((0, self._shape.codebooks), np.int32)
        whole = np.ascontiguousarray(samples[None, :, : frames * frame_samples])
        inputs = {self._waveform: whole}
        inputs |= {name: np.array([whole.shape[2]], np.int32) for name in self._lengths}
        (codes,) = self._session.run(("codes",), inputs)
        found: Ints = codes[0, :frames]
        return found
