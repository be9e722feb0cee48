"""Makes the graph of one row out of that of many: the same weights in the same file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import helper

from providers.moss_tts_nano.compact.emit import MICROSOFT
from providers.moss_tts_nano.compact.quantise import ALONE, ROWS

_CHAIN = ["Abs", "ReduceMax", "Div", "QuantizeLinear", ROWS, "Mul"]
_PACKED = "prepacked_"
"""Begins the keys of a weight's packed bytes, which are said to be of a kind of node."""


class _Product(NamedTuple):
    """What `eight_bit_rows` has written for one product, from the rows to their product."""

    x: str
    factors: list[str]
    """Bytes and scale of the weight."""
    result: str
    nodes: list[onnx.NodeProto]

    @property
    def fused(self) -> onnx.NodeProto:
        return helper.make_node(ALONE, [self.x, *self.factors], [self.result], domain=MICROSOFT)


def write_alone(many: Path, one: Path) -> None:
    """`many` is a packed graph; both nodes have the same layout of the bytes, so that a session of
    either graph maps them from the one file. Nothing is written where the runtime has changed a
    product into something else: who is alone goes among many then."""
    model = onnx.load(many, load_external_data=False)
    nodes = list(model.graph.node)
    products = _products(nodes)
    if products is None:
        return
    del model.graph.node[:]
    model.graph.node.extend(_fused(nodes, products))
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key.startswith(_PACKED):
                entry.value = entry.value.replace(f"{ROWS}+", f"{ALONE}+")
    one.write_bytes(model.SerializeToString())


def _products(nodes: list[onnx.NodeProto]) -> list[_Product] | None:
    """All of them, or `None`."""
    makers = {name: node for node in nodes for name in node.output}
    readers = {name: node for node in nodes for name in node.input}
    products = []
    for node in nodes:
        if node.op_type == ROWS:
            product = _product(node, makers, readers)
            if product is None:
                return None
            products.append(product)
    return products


def _product(
    node: onnx.NodeProto, makers: dict[str, onnx.NodeProto], readers: dict[str, onnx.NodeProto]
) -> _Product | None:
    try:
        rounding = makers[node.input[0]]
        division = makers[rounding.input[0]]
        largest = makers[division.input[1]]
        magnitudes = makers[largest.input[0]]
        scaling = readers[node.output[0]]
    except (KeyError, IndexError):
        return None
    nodes = [magnitudes, largest, division, rounding, node, scaling]
    if [each.op_type for each in nodes] != _CHAIN:
        return None
    factors = [node.input[at] for at in (1, 3)]
    return _Product(division.input[0], factors, scaling.output[0], nodes)


def _fused(nodes: list[onnx.NodeProto], products: list[_Product]) -> list[onnx.NodeProto]:
    """Each product as one node, where its last one stood."""
    fused = {product.result: product.fused for product in products}
    gone = {name for product in products for node in product.nodes for name in node.output}
    return [
        fused.get(node.output[0], node)
        for node in nodes
        if node.output[0] in fused or node.output[0] not in gone
    ]
