"""Finds where a shipped codec graph attends, by what flows into what."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import onnx

from providers.moss_tts_nano.compact.shipped import CannotRebuild, Shipped

_TO_SOFTMAX = ("Mul", "Div", "Add", "Sub", "Where", "Cast", "Identity", "Max", "Clip")
_TO_VALUES = ("Where", "Cast", "Identity", "Mul", "Dropout")
_SCALED = ("Mul", "Div", "Cast", "Identity")
_TURNED = [0, 1, 3, 2]


class Attention(NamedTuple):
    """One attention: the tensors that go in, and the node that gives the mixed values. All are
    [rows, heads, steps, head width]."""

    query: str
    key: str
    value: str
    mixed: onnx.NodeProto


def attention_of(graph: Shipped, softmax: onnx.NodeProto) -> Attention:
    """The one that this softmax belongs to, if it is scaled by the root of its head's width.

    Raises: CannotRebuild
    """
    scores = _upwards(graph, softmax.input[0], _TO_SOFTMAX, _is_product(graph))
    mixed = _downwards(graph, softmax.output[0], _TO_VALUES)
    turned = _unscaled(graph, scores.input[1])
    node = graph.producer(turned)
    if node is None or node.op_type != "Transpose" or list(node.attribute[0].ints) != _TURNED:
        raise CannotRebuild("Keys are not turned in the way that is known.")
    return Attention(
        query=_unscaled(graph, scores.input[0]),
        key=_unscaled(graph, node.input[0]),
        value=_unscaled(graph, mixed.input[1]),
        mixed=mixed,
    )


def appended(graph: Shipped, joined: str) -> tuple[str, str]:
    """The past steps, and the new ones that are joined to them.

    Raises: CannotRebuild
    """
    node = graph.producer(joined)
    if node is None or node.op_type != "Concat" or len(node.input) != 2:
        raise CannotRebuild("New steps are not joined to past ones.")
    return _unscaled(graph, node.input[0]), node.input[1]


def _is_product(graph: Shipped) -> Callable[[onnx.NodeProto], bool]:
    """Whether a node multiplies two tensors, neither of them a constant."""
    return lambda node: (
        node.op_type == "MatMul" and all(graph.constant(name) is None for name in node.input)
    )


def _upwards(
    graph: Shipped, name: str, through: tuple[str, ...], found: Callable[[onnx.NodeProto], bool]
) -> onnx.NodeProto:
    """The nearest node above that is searched for, through nodes of these kinds only."""
    names, seen = [name], {name}
    for each in names:
        node = graph.producer(each)
        if node is None:
            continue
        if found(node):
            return node
        if node.op_type in through:
            fresh = [above for above in node.input if above not in seen]
            seen.update(fresh)
            names += fresh
    raise CannotRebuild("A softmax is not fed by a product of queries and keys.")


def _downwards(graph: Shipped, name: str, through: tuple[str, ...]) -> onnx.NodeProto:
    """The product with the values."""
    names = [name]
    for each in names:
        for node in graph.consumers(each):
            if node.op_type == "MatMul" and node.input[0] == each:
                return node
            if node.op_type in through:
                names.append(node.output[0])
    raise CannotRebuild("A softmax does not weigh any values.")


def _unscaled(graph: Shipped, name: str) -> str:
    """Queries, keys or values before they are scaled for the product."""
    while (node := graph.producer(name)) is not None and node.op_type in _SCALED:
        if len(node.input) == 2 and not _is_scale(graph, node.input[1]):
            return name
        name = node.input[0]
    return name


def _is_scale(graph: Shipped, name: str) -> bool:
    """Whether it is one number, or made of nothing but shapes (an exporter takes the width of a
    head from there, step by step)."""
    constant = graph.constant(name)
    if constant is not None:
        return constant.size == 1
    node = graph.producer(name)
    if node is None:
        return False
    return node.op_type == "Shape" or all(_is_known(graph, each) for each in node.input)


def _is_known(graph: Shipped, name: str) -> bool:
    return graph.constant(name) is not None or _is_scale(graph, name)
