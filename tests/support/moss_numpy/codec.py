"""The codec: a clip to codes, codes to samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.moss_numpy.arithmetic import Doubles, attended, gelu_exact, norm, rotated
from tests.support.moss_numpy.loaded import Loaded
from tests.support.tiny_moss.spec import Stage
from tests.support.tiny_moss.weights import Weights


class Codec:
    def __init__(self, weights: Weights) -> None:
        self.spec = weights.spec
        self._loaded = Loaded(weights)

    def encode(self, samples: NDArray[Any]) -> NDArray[np.int64]:
        """[channels, samples] at the codec's rate to [frames, codebooks]; what does not fill a
        frame is left out."""
        codec = self.spec.codec
        frames = samples.shape[1] // codec.frame_samples
        wave = samples[:, : frames * codec.frame_samples].astype(np.float64)
        steps = wave.T.reshape(-1, codec.last_patch)
        for index, stage in enumerate(reversed(codec.stages)):
            steps = self._transformer(f"encoder.{2 * index + 1}", stage, steps)
            # The parts of a channel stay beside each other.
            parts = steps.reshape(-1, stage.patch, steps.shape[1])
            steps = parts.transpose(0, 2, 1).reshape(len(parts), -1)
        return self._codes(steps)

    def decode(self, codes: NDArray[Any]) -> Doubles:
        """[frames, codebooks] to [channels, samples]"""
        codec = self.spec.codec
        steps = self._latent(codes)
        for index, stage in enumerate(codec.stages):
            parts = steps.reshape(len(steps), -1, stage.patch)
            steps = parts.transpose(0, 2, 1).reshape(-1, parts.shape[1])
            steps = self._transformer(f"decoder.{2 * index + 1}", stage, steps)
        return steps.reshape(-1, codec.channels).T

    def _codes(self, latent: Doubles) -> NDArray[np.int64]:
        left, codes = self._linear("quantizer.input_proj", latent), []
        for at in range(self.spec.codebooks):
            name = f"quantizer.quantizers.{at}"
            asked, entries = self._linear(f"{name}.in_proj", left), self._codebook(at)
            likeness = asked @ entries.T / np.linalg.norm(entries, axis=1)
            codes.append(np.argmax(likeness, axis=1))
            left = left - self._linear(f"{name}.out_proj", entries[codes[-1]])
        return np.stack(codes, axis=1)

    def _latent(self, codes: NDArray[Any]) -> Doubles:
        entries = [
            self._linear(f"quantizer.quantizers.{at}.out_proj", self._codebook(at)[codes[:, at]])
            for at in range(self.spec.codebooks)
        ]
        return self._linear("quantizer.output_proj", np.sum(entries, axis=0))

    def _codebook(self, at: int) -> Doubles:
        return self._loaded[f"quantizer.quantizers.{at}.codebook.weight"]

    def _transformer(self, name: str, stage: Stage, steps: Doubles) -> Doubles:
        hidden = self._projected(f"{name}.input_proj", steps)
        for layer in range(stage.layers):
            hidden = self._layer(f"{name}.layers.{layer}", stage.context, hidden)
        return self._projected(f"{name}.output_proj", hidden)

    def _layer(self, name: str, context: int, hidden: Doubles) -> Doubles:
        positions = np.arange(len(hidden))
        joined = self._projected(f"{name}.self_attn.in_proj", self._norm(f"{name}.norm1", hidden))
        heads = joined.reshape(len(hidden), -1, self.spec.codec.head_width)
        query, key, value = np.split(heads, 3, axis=1)
        distance = positions[:, None] - positions
        visible = (distance >= 0) & (distance < context)
        mixed = attended(rotated(query, positions), rotated(key, positions), value, visible)
        mixed = self._projected(f"{name}.self_attn.out_proj", mixed)
        hidden = hidden + self._loaded[f"{name}.layer_scale_1.scale"] * mixed
        wide = self._projected(f"{name}.linear1", self._norm(f"{name}.norm2", hidden))
        mixed = self._projected(f"{name}.linear2", gelu_exact(wide))
        return hidden + self._loaded[f"{name}.layer_scale_2.scale"] * mixed

    def _norm(self, name: str, x: Doubles) -> Doubles:
        return norm(x, self._loaded[f"{name}.weight"], self._loaded[f"{name}.bias"])

    def _projected(self, name: str, x: Doubles) -> Doubles:
        return x @ self._loaded[f"{name}.weight"]

    def _linear(self, name: str, x: Doubles) -> Doubles:
        return self._projected(name, x) + self._loaded[f"{name}.bias"]
