"""How a matrix is multiplied by: as it is, or in 8 bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from providers.moss_tts_nano.compact.emit import Graph

Floats = NDArray[np.float32]

Product = Callable[[str], str]
"""Writes the nodes that multiply a tensor [..., in] by one matrix; it may be used many times."""
Store = Callable[[Graph, Floats], Product]
"""Puts a matrix [in, out] into a graph."""

BLOCK = 128
"""Inputs that share a scale."""
_MIDDLE = 128
"""The byte that stands for zero."""
_INTEGER = 4
"""Activations are rounded to 8 bits too, each row in blocks of its own: rows stay independent."""


def exact(graph: Graph, weight: Floats) -> Product:
    name = graph.weight(weight)
    return lambda x: graph.op("MatMul", x, name)


def eight_bit(graph: Graph, weight: Floats) -> Product:
    inputs, outputs = weight.shape
    block = min(BLOCK, 1 << max(4, (inputs - 1).bit_length()))
    values, scales = (graph.weight(each) for each in rounded(weight, block))
    sizes = {"K": inputs, "N": outputs, "bits": 8, "block_size": block}
    return lambda x: graph.contrib(
        "MatMulNBits", x, values, scales, **sizes, accuracy_level=_INTEGER
    )


def rounded(weight: Floats, block: int) -> tuple[NDArray[np.uint8], Floats]:
    """Bytes [out, blocks, block] and their scales [out, blocks]."""
    inputs, outputs = weight.shape
    blocks = -(-inputs // block)
    padded = np.zeros((outputs, blocks * block), np.float32)
    padded[:, :inputs] = weight.T
    padded = padded.reshape(outputs, blocks, block)
    scales = np.abs(padded).max(-1) / np.float32(127)
    scales[scales == 0] = 1
    values = np.rint(padded / scales[..., None]) + _MIDDLE
    return values.astype(np.uint8), scales
