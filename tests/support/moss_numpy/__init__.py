"""The model in plain numpy, written from its description: what every other path is held against.

It knows nothing of graphs or of onnxruntime, and takes the weights by their parameter names. All is
computed in float64, one row at a time, but for the angles of rotations: these are products of
float32, as in any float32 model; at the codec's positions that difference could be seen.
"""

from __future__ import annotations

from tests.support.moss_numpy.choices import FIXED, Settings, drawn_best_first, drawn_by_id
from tests.support.moss_numpy.codec import Codec
from tests.support.moss_numpy.language_model import Known, LanguageModel
from tests.support.moss_numpy.local import Local

__all__ = [
    "FIXED",
    "Codec",
    "Known",
    "LanguageModel",
    "Local",
    "Settings",
    "drawn_best_first",
    "drawn_by_id",
]
