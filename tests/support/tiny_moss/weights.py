"""The parameters of a model: random, of sane size, each made when it is asked for."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from tests.support.tiny_moss.parameters import TEXT_HEAD, TEXT_TABLE, parameters
from tests.support.tiny_moss.spec import Spec

Floats = NDArray[np.float32]

GOES_ON, STOPS = 9, 7
"""Text tokens between which a frame's text position chooses."""
_LAST_LOCAL_BIAS = "local_transformer.h.0.mlp.fc_out.bias"
_RANDOM_SPREAD = 1.5
"""Standard deviation of what the local block gives out, without the steady direction; measured."""


class Weights:
    """Arrays by parameter name; the same seed gives the same array whatever was asked before.

    Linear weights are [in, out], tables [entries, width].
    """

    def __init__(self, spec: Spec, seed: int) -> None:
        self.spec = spec
        self.seed = seed
        self._parameters = parameters(spec)
        steady = self._normal("steady", (spec.hidden,))
        steady -= steady.mean()  # which a norm would take away
        self._steady = steady / np.linalg.norm(steady)

    def __getitem__(self, name: str) -> Floats:
        if name == TEXT_HEAD:
            return self[TEXT_TABLE].T
        if name.startswith("audio_lm_heads."):
            return self[name.replace("audio_lm_heads.", "audio_embeddings.")].T
        made = self._parameters[name]
        array = self._normal(name, made.shape)
        array *= made.spread
        array += made.around
        if name == TEXT_TABLE:
            self._tell_apart(array)
        elif name == _LAST_LOCAL_BIAS:
            array += np.sqrt(self.spec.hidden) * self._steady
        return array

    def _tell_apart(self, table: Floats) -> None:
        """Let the rows of going on and of stopping differ along the steady direction alone, which
        the local block always gives out, so that their logits differ by about the margin."""
        share = np.sqrt(self.spec.hidden) / np.hypot(1, _RANDOM_SPREAD)
        reach = self.spec.stop_margin / 2 / share * self._steady
        table[STOPS] = table[GOES_ON] - reach
        table[GOES_ON] += reach

    def _normal(self, name: str, shape: tuple[int, ...]) -> Floats:
        generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        return generator.standard_normal(shape, dtype=np.float32)
