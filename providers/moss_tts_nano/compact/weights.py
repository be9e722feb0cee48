"""The weights of the two transformers that make the codes, found in the shipped graphs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from providers.moss_tts_nano.compact.shipped import Array, CannotRebuild, Shipped

Floats = NDArray[np.float32]


class Norm(NamedTuple):
    scale: Floats
    bias: Floats


class Linear(NamedTuple):
    weight: Floats
    """[in, out]"""
    bias: Floats


class Block(NamedTuple):
    """One transformer block: norm, attention, norm, feed-forward."""

    first: Norm
    joined: Linear
    """Queries, keys, values."""
    projected: Linear
    second: Norm
    wide: Linear
    narrow: Linear


class Transformer(NamedTuple):
    blocks: tuple[Block, ...]
    last: Norm


class Tables(NamedTuple):
    text: Floats
    """[vocabulary, hidden]"""
    audio: tuple[Floats, ...]
    """For each codebook [entries, hidden]"""


def transformer(path: Path) -> Transformer:
    """The blocks in one of the shipped graphs; the local transformer's graphs have one.

    Parameters keep their names in the export. Matrices do not: each is the one in the product that
    the named bias is added to.

    Raises: CannotRebuild
    """
    found = _Named(Shipped(path), path.name)
    counted = {int(match[2]) for match in found.all(r"(^|\.)h\.(\d+)\.ln_1\.weight$")}
    if counted != set(range(len(counted))) or not counted:
        raise CannotRebuild(f"{path.name} has no transformer blocks of known names.")
    blocks = tuple(_block(found, at) for at in sorted(counted))
    return Transformer(blocks, found.norm(r"(^|\.)ln_f"))


def tables(path: Path, codebooks: int) -> Tables:
    """The embeddings, which are the output heads too.

    Raises: CannotRebuild
    """
    found = _Named(Shipped(path), path.name)
    text = found.array(r"(^|\.)wte\.weight$")
    audio = tuple(
        found.array(rf"(^|\.)audio_embeddings\.{channel}\.weight$") for channel in range(codebooks)
    )
    return Tables(text, audio)


def _block(found: _Named, at: int) -> Block:
    prefix = rf"(^|\.)h\.{at}\."
    norms = [found.norm(f"{prefix}ln_{which}") for which in (1, 2)]
    biases = sorted({match.string for match in found.all(rf"{prefix}mlp\..+\.bias$")})
    if len(biases) != 2:
        raise CannotRebuild(f"{found.file}: block {at} has not two feed-forward layers.")
    layers = sorted((found.linear(re.escape(name) + "$") for name in biases), key=_width)
    return Block(
        first=norms[0],
        joined=found.linear(rf"{prefix}attn\.c_attn\.bias$"),
        projected=found.linear(rf"{prefix}attn\.c_proj\.bias$"),
        second=norms[1],
        wide=layers[1],
        narrow=layers[0],
    )


def _width(layer: Linear) -> int:
    return int(layer.weight.shape[1])


class _Named:
    """Parameters of one graph by the ends of their names."""

    def __init__(self, graph: Shipped, file: str) -> None:
        self._graph = graph
        self._names = list(graph.names())
        self.file = file

    def all(self, pattern: str) -> list[re.Match[str]]:
        matches = (re.search(pattern, name) for name in self._names)
        return [match for match in matches if match]

    def array(self, pattern: str) -> Floats:
        return _floats(self._graph.constant(self._one(pattern)), pattern)

    def norm(self, prefix: str) -> Norm:
        return Norm(self.array(rf"{prefix}\.weight$"), self.array(rf"{prefix}\.bias$"))

    def linear(self, pattern: str) -> Linear:
        name = self._one(pattern)
        bias = _floats(self._graph.constant(name), name)
        for other in self._aliases(name):
            for node in self._graph.consumers(other):
                weight = self._multiplied(node, other)
                if weight is not None and weight.shape[-1:] == bias.shape:
                    return Linear(_floats(weight, name), bias)
        raise CannotRebuild(f"{self.file}: nothing is multiplied before {name} is added.")

    def _multiplied(self, node: onnx.NodeProto, bias: str) -> Array | None:
        """The matrix [in, out] of the product to which the bias is added."""
        if node.op_type == "Gemm" and list(node.input[2:]) == [bias]:
            weight = self._graph.constant(node.input[1])
            turned = any(each.name == "transB" and each.i for each in node.attribute)
            return weight.T if turned and weight is not None else weight
        if node.op_type != "Add":
            return None
        other = node.input[0] if node.input[1] == bias else node.input[1]
        product = self._graph.producer(other)
        while product is not None and product.op_type in ("Reshape", "Identity"):
            product = self._graph.producer(product.input[0])
        if product is None or product.op_type != "MatMul":
            return None
        return self._graph.constant(product.input[1])

    def _aliases(self, name: str) -> list[str]:
        """The name itself, and those that Identity nodes give it."""
        names = [name]
        for known in names:
            uses = self._graph.consumers(known)
            names += [node.output[0] for node in uses if node.op_type == "Identity"]
        return names

    def _one(self, pattern: str) -> str:
        matches = self.all(pattern)
        if not matches:
            raise CannotRebuild(f"{self.file} has no parameter like {pattern}.")
        return matches[0].string


def _floats(array: Array | None, name: str) -> Floats:
    if array is None or array.dtype != np.float32:
        raise CannotRebuild(f"{name} is no float32 constant.")
    return array
