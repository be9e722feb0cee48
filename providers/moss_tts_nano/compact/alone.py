"""Makes the graph of one row out of that of many: the same weights in the same file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import helper

from providers.moss_tts_nano.compact.emit import MICROSOFT
from providers.moss_tts_nano.compact.quantise import ALONE, ROWS

_PACKED = "prepacked_"
"""Begins the keys of a weight's packed bytes, which are said to be of a kind of node."""


class _Product(NamedTuple):
    """What `eight_bit_rows` has written for one product, from the rows to their product."""

    x: str
    factors: list[str]
    """Bytes and scale of the weight."""
    result: str
    nodes: list[onnx.NodeProto]


def write_alone(many: Path, one: Path) -> None:
    """`many` is a packed graph; both nodes have the same layout of the bytes, so that a session of
    either graph maps them from the one file."""
    model = onnx.load(many, load_external_data=False)
    nodes = _fused(list(model.graph.node))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key.startswith(_PACKED):
                entry.value = entry.value.replace(f"{ROWS}+", f"{ALONE}+")
    one.write_bytes(model.SerializeToString())


def _fused(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    makers = {name: node for node in nodes for name in node.output}
    readers = {name: node for node in nodes for name in node.input}
    products = [_product(node, makers, readers) for node in nodes if node.op_type == ROWS]
    gone = {name for product in products for node in product.nodes for name in node.output}
    fused = {
        product.result: helper.make_node(
            ALONE, [product.x, *product.factors], [product.result], domain=MICROSOFT
        )
        for product in products
    }
    return [
        fused.get(node.output[0], node)
        for node in nodes
        if node.output[0] in fused or node.output[0] not in gone
    ]


def _product(
    node: onnx.NodeProto, makers: dict[str, onnx.NodeProto], readers: dict[str, onnx.NodeProto]
) -> _Product:
    rounding = makers[node.input[0]]
    division = makers[rounding.input[0]]
    largest = makers[division.input[1]]
    scaling = readers[node.output[0]]
    nodes = [makers[largest.input[0]], largest, division, rounding, node, scaling]
    factors = [node.input[at] for at in (1, 3)]
    return _Product(division.input[0], factors, scaling.output[0], nodes)
