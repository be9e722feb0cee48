"""The codec's quantiser: a latent vector as a sum of entries, one of each codebook."""

from __future__ import annotations

import numpy as np

from tests.support.tiny_moss.graph import Graph

_SMALLEST_LENGTH = 1e-12


def latent_of(g: Graph, codes: str) -> str:
    """[rows, frames, latent]; `codes` int64 [rows, frames, codebooks]."""
    total = None
    for at in range(g.spec.codebooks):
        code = g.op("Gather", codes, g.const(at), axis=2)
        entry = _entry(g, at, code)
        total = entry if total is None else g.op("Add", total, entry)
    assert total is not None
    return g.linear("quantizer.output_proj", total)


def codes_of(g: Graph, latent: str) -> str:
    """int64 [rows, frames, codebooks]: of each codebook the entry that points where what is left
    points."""
    left = g.linear("quantizer.input_proj", latent)
    codes = []
    for at in range(g.spec.codebooks):
        asked = g.linear(f"quantizer.quantizers.{at}.in_proj", left)
        entries = _directed(g, _codebook(g, at))
        likeness = g.op("MatMul", _directed(g, asked), g.op("Transpose", entries, perm=[1, 0]))
        code = g.op("ArgMax", likeness, axis=-1, keepdims=0)
        codes.append(g.op("Unsqueeze", code, g.const([-1])))
        left = g.op("Sub", left, _entry(g, at, code))
    return g.op("Concat", *codes, axis=-1)


def _entry(g: Graph, at: int, code: str) -> str:
    found = g.op("Gather", _codebook(g, at), code, axis=0)
    return g.linear(f"quantizer.quantizers.{at}.out_proj", found)


def _codebook(g: Graph, at: int) -> str:
    g.inside(f"quantizer.quantizers.{at}")
    return g.parameter(f"quantizer.quantizers.{at}.codebook.weight")


def _directed(g: Graph, x: str) -> str:
    """Each vector, one long."""
    length = g.op("ReduceL2", x, axes=[-1], keepdims=1)
    return g.op("Div", x, g.op("Max", length, g.const(_SMALLEST_LENGTH, np.float32)))
