"""A graph in the making, named as an exporter names it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tests.support.tiny_moss.external import DataFile, Make, Place
from tests.support.tiny_moss.style import PLAIN, Style
from tests.support.tiny_moss.weights import Weights

OPSET = 17
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT32
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL
LOWEST = float(np.finfo(np.float32).min)
"""A score that no softmax sees."""

Dims = Sequence[int | str]


class Graph:
    """Values are strings: the names under which nodes hand them on."""

    def __init__(self, name: str, weights: Weights, data: DataFile, style: Style = PLAIN) -> None:
        self.name = name
        self.spec = weights.spec
        self.style = style
        self._weights = weights
        self._data = data
        self._nodes: list[NodeProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._initializers: dict[str, Place] = {}
        self._holders: dict[int, str] = {}
        self._known: dict[str, str] = {}
        self._renamed: dict[str, str] = {}
        self._scope = ""
        self._made = 0

    def input(self, name: str, kind: int, dims: Dims) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(dims)))
        self._renamed[name] = name
        return name

    def output(self, name: str, value: str, kind: int, dims: Dims) -> None:
        """The node that makes the value gives it that name."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(dims)))
        self._renamed[value] = name

    def inside(self, scope: str) -> None:
        """The module whose nodes follow; a name for people who look at the graph."""
        self._scope = "/" + scope.replace(".", "/") if scope else ""

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        (value,) = self.ops(kind, 1, *inputs, **attributes)
        return value

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        stem = f"{self._scope}/{kind}_{self._count()}_output"
        values = [f"{stem}_{at}" for at in range(outputs)]
        self._node(kind, list(inputs), values, **attributes)
        return values

    def const(self, value: object, kind: type[np.generic] = np.int64) -> str:
        """A small tensor, which the graph holds itself."""
        array = np.asarray(value, kind)
        known = f"{array.dtype}{array.shape}{array.tobytes().hex()}"
        if known not in self._known:
            self._known[known] = self.op("Constant", value=numpy_helper.from_array(array))
        return self._known[known]

    def parameter(self, name: str) -> str:
        """A bias, a norm or a table, under its own name; one that equals another already there
        comes out of an Identity node, as an exporter's de-duplication leaves it."""
        if name not in self._known:
            self._known[name] = self._held(name, name, lambda: self._weights[name])
        return self._known[name]

    def matrix(self, name: str, columns: slice = slice(None)) -> str:
        """A linear layer's weight, [in, out], under a name that tells nothing, with an Identity
        node for each further use."""
        part = f"{name}{columns.start or ''}"
        if part in self._known:
            return self.op("Identity", self._known[part])
        if self.style.spelt_out:
            held = self._held(part, f"{part}:T", lambda: self._weights[name][:, columns].T)
            self._known[part] = self.op("Transpose", held, perm=[1, 0])
        else:
            generated = f"onnx::MatMul_{self._count()}"
            held = self._held(generated, part, lambda: self._weights[name][:, columns])
            self._known[part] = held
        return self._known[part]

    def linear(self, name: str, hidden: str) -> str:
        """`hidden` times a weight, and the bias."""
        self.inside(name)
        product = self.op("MatMul", hidden, self.matrix(f"{name}.weight"))
        bias = self.parameter(f"{name}.bias")
        parts = (product, bias) if self.style.bias_last else (bias, product)
        return self.op("Add", *parts)

    def save(self, path: Path) -> None:
        if self.style.renamed:
            self._forget_names()
        tensors = [_external(name, place) for name, place in self._initializers.items()]
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, tensors)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        for node in model.graph.node:
            for values in (node.input, node.output):
                values[:] = [self._renamed.get(value, value) for value in values]
        for tensor in model.graph.initializer:
            tensor.name = self._renamed.get(tensor.name, tensor.name)
        path.write_bytes(model.SerializeToString())

    def _forget_names(self) -> None:
        for node in self._nodes:
            node.name = ""
            for value in (*node.input, *node.output):
                self._renamed.setdefault(value, f"v{len(self._renamed)}")

    def _held(self, name: str, stored: str, make: Make) -> str:
        """An array as a value: of the data file, or where it is there already, of the same one."""
        if self.style.constants:
            self._node("Constant", [], [name], value=numpy_helper.from_array(make()))
            return name
        place = self._data.add(stored, make)
        holder = self._holders.setdefault(place.offset, name)
        if holder == name:
            self._initializers[name] = place
        else:
            self._node("Identity", [holder], [name])
        return name

    def _node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        name = f"{self._scope}/{kind}_{self._count()}"
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=name, **attributes))

    def _count(self) -> int:
        self._made += 1
        return self._made


def _external(name: str, place: Place) -> TensorProto:
    tensor = TensorProto(name=name, dims=place.shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    where = {"location": place.file, "offset": place.offset, "length": place.size_bytes}
    for key, value in where.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor
