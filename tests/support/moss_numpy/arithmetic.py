"""What all transformers of the model are made of."""

from __future__ import annotations

from math import erf
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
_ROTARY_BASE = np.float32(10000)
_exact_erf = np.vectorize(erf, otypes=[np.float64])


def norm(x: Doubles, weight: NDArray[Any], bias: NDArray[Any]) -> Doubles:
    centred = x - x.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    result: Doubles = centred / spread * weight + bias
    return result


def softmax(scores: Doubles) -> Doubles:
    """Over the last axis."""
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    result: Doubles = raised / raised.sum(-1, keepdims=True)
    return result


def gelu_tanh(x: Doubles) -> Doubles:
    result: Doubles = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return result


def gelu_exact(x: Doubles) -> Doubles:
    result: Doubles = 0.5 * x * (1 + _exact_erf(x / np.sqrt(2)))
    return result


def rotated(x: Doubles, positions: NDArray[np.int64]) -> Doubles:
    """Turn each pair of neighbours in the last axis. `x` [steps, heads, width]"""
    width = x.shape[-1]
    powers = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    frequencies = np.float32(1) / _ROTARY_BASE**powers
    angles = (positions.astype(np.float32)[:, None] * frequencies).astype(np.float64)
    turns = np.exp(1j * angles)[:, None, :]
    pairs = (x[..., 0::2] + 1j * x[..., 1::2]) * turns
    return np.stack((pairs.real, pairs.imag), axis=-1).reshape(x.shape)


def attended(
    queries: Doubles, keys: Doubles, values: Doubles, visible: NDArray[np.bool_]
) -> Doubles:
    """`queries`, `keys`, `values` [steps, heads, width]; `visible` [queries, keys]. Gives
    [queries, heads * width]."""
    scores = np.einsum("qhd,khd->hqk", queries, keys) / np.sqrt(queries.shape[-1])
    shares = softmax(np.where(visible, scores, -np.inf))
    mixed: Doubles = np.einsum("hqk,khd->qhd", shares, values)
    return mixed.reshape(len(queries), -1)
