"""The frame sampler on its compact graph."""

from __future__ import annotations

import numpy as np
import onnxruntime

from providers.moss_tts_nano.parts import Draws, Floats, Frames, Ints


class CompactFrameSampler:
    """`FrameSampler` of the parts; arrays are taken as they lie, nothing is kept."""

    def __init__(
        self, many: onnxruntime.InferenceSession, one: onnxruntime.InferenceSession
    ) -> None:
        """Sessions for many rows, and for one."""
        self._many, self._one = many, one

    def sample(self, hidden: Floats, seen: Ints, draws: Draws) -> Frames:
        inputs = {
            "hidden": hidden,
            "seen": seen,
            "text_chance": draws.text,
            "audio_chance": draws.audio,
        }
        session = self._one if len(hidden) == 1 else self._many
        return Frames(*session.run(("goes_on", "codes"), inputs))


class GreedyFrameSampler:
    """The likeliest codes, by the same graph: where the chance is nothing the first of the sorted
    candidates is drawn, and where it is a half the likelier of two."""

    def __init__(self, fixed: CompactFrameSampler) -> None:
        self._fixed = fixed

    def sample(self, hidden: Floats, seen: Ints, draws: Draws) -> Frames:
        rows, codebooks = seen.shape[:2]
        half = np.full(rows, 0.5, np.float32)
        return self._fixed.sample(
            hidden, seen, Draws(half, np.zeros((rows, codebooks), np.float32))
        )
