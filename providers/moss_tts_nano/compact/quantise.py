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

ROWS, ALONE = "MatMulIntegerToFloat", "DynamicQuantizeMatMul"
"""The nodes that multiply rounded activations: of many rows; of one, which they round too."""
BLOCK = 128
"""Inputs that share a scale."""
_MIDDLE = 128
"""The byte that stands for zero."""
_LARGEST = 127
"""How far from it a byte may be, on either side."""
_INTEGER = 4
"""accuracy_level of MatMulNBits: activations are rounded."""


def exact(graph: Graph, weight: Floats) -> Product:
    name = graph.weight(weight)
    return lambda x: graph.op("MatMul", x, name)


def eight_bit_rows(graph: Graph, weight: Floats) -> Product:
    """Activations are rounded to 8 bits too, each row by a scale of its own, so that rows stay
    independent.

    Several rows share the unpacking of the weights, which they do not in blocks: 37 rows of a
    prompt take 52 ms instead of 107, a frame of 8 rows 19 instead of 33 (one core, AVX2;
    `tests.bench.moss_parts`).

    A row of nothing but zeros is divided by zero; whatever bytes come of it, their sum times zero
    is the zero that it should be.
    """
    values, scale = _bytes(graph, weight)
    middle, step = graph.constant(_MIDDLE, np.uint8), graph.constant(1 / _LARGEST, np.float32)

    def product(x: str) -> str:
        largest = graph.op("ReduceMax", graph.op("Abs", x), axes=[-1], keepdims=1)
        rounded_x = graph.op("QuantizeLinear", graph.op("Div", x, largest), step, middle)
        factors = rounded_x, values, step, scale, middle
        return graph.op("Mul", graph.contrib(ROWS, *factors), largest)

    return product


def eight_bit_alone(graph: Graph, weight: Floats) -> Product:
    """For one row: activations are rounded by a scale and a middle of all that there is, which one
    node does where many rows need six."""
    values, scale = _bytes(graph, weight)
    return lambda x: graph.contrib(ALONE, x, values, scale)


def eight_bit_blocks(graph: Graph, weight: Floats) -> Product:
    """Activations are rounded to 8 bits too, each row in blocks of its own."""
    inputs, outputs = weight.shape
    block = min(BLOCK, 1 << max(4, (inputs - 1).bit_length()))
    values, scales = (graph.weight(each) for each in rounded(weight, block))
    sizes = {"K": inputs, "N": outputs, "bits": 8, "block_size": block}
    return lambda x: graph.contrib(
        "MatMulNBits", x, values, scales, **sizes, accuracy_level=_INTEGER
    )


def _bytes(graph: Graph, weight: Floats) -> tuple[str, str]:
    """A matrix in signed bytes, with the scale of each column.

    Without VNNI processors add the products of two neighbours up in 16 bits, where they overflow
    (onnxruntime's page on quantisation, "When and why do I need to try U8U8?"). So two neighbours
    of one sign share the range of one: 2.5 dB more noise where weights are distributed normally,
    and 7 bits would be 6 dB. Unsigned bytes have all 8, and are slower: they are widened first.
    """
    even, odd = weight[::2], np.zeros_like(weight[::2])
    odd[: len(weight) // 2] = weight[1::2]
    most = np.where(even * odd > 0, np.abs(even + odd), np.maximum(np.abs(even), np.abs(odd)))
    scales = _scales(most.max(0))
    return graph.weight(np.rint(weight / scales).astype(np.int8)), graph.weight(scales)


def rounded(weight: Floats, block: int) -> tuple[NDArray[np.uint8], Floats]:
    """Bytes [out, blocks, block] and their scales [out, blocks]."""
    inputs, outputs = weight.shape
    blocks = -(-inputs // block)
    padded = np.zeros((outputs, blocks * block), np.float32)
    padded[:, :inputs] = weight.T
    padded = padded.reshape(outputs, blocks, block)
    scales = _scales(np.abs(padded).max(-1))
    values = np.rint(padded / scales[..., None]) + _MIDDLE
    return values.astype(np.uint8), scales


def _scales(largest: Floats) -> Floats:
    """Of weights whose largest are these."""
    scales = largest / np.float32(_LARGEST)
    scales[scales == 0] = 1
    return scales
