"""A shipped graph, taken apart: its nodes, and its tensors where they lie."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]


class CannotRebuild(Exception):
    """This graph is not of a kind that we understand: the shipped one has to serve."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Shipped:
    """Nodes in their order; weights are mapped, not read."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        model = _parsed(path)
        self.nodes: list[onnx.NodeProto] = list(model.graph.node)
        self.inputs = {value.name: value for value in model.graph.input}
        self.outputs = {value.name: value for value in model.graph.output}
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers: dict[str, onnx.NodeProto] = {}
        self._consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.output:
                self._producers[name] = node
            for name in node.input:
                self._consumers[name].append(node)

    def is_tensor(self, name: str) -> bool:
        """Whether the file holds it, and no node makes it."""
        return name in self._tensors

    def producer(self, name: str) -> onnx.NodeProto | None:
        return self._producers.get(name)

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        return self._consumers.get(name, [])

    def names(self) -> Iterator[str]:
        """Of all that may hold a parameter: tensors first, then what nodes give."""
        yield from self._tensors
        yield from self._producers

    @functools.cache  # noqa: B019 - a Shipped lives for one build
    def constant(self, name: str) -> Array | None:
        """What a tensor holds if that is known before any run: an initializer or a constant node,
        maybe under other names, transposed or widened."""
        if name in self._tensors:
            return self._array(self._tensors[name])
        node = self._producers.get(name)
        if node is None:
            return None
        if node.op_type == "Constant":
            return _constant(node)
        if node.op_type not in ("Identity", "Transpose", "Cast", "Unsqueeze", "Squeeze", "Reshape"):
            return None
        inputs = [self.constant(each) for each in node.input]
        known = [each for each in inputs if each is not None]
        return _folded(node, known) if len(known) == len(inputs) else None

    def _array(self, tensor: TensorProto) -> Array:
        if tensor.data_location != TensorProto.EXTERNAL:
            return numpy_helper.to_array(tensor)
        where = {entry.key: entry.value for entry in tensor.external_data}
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return np.memmap(
            self._folder / where["location"],
            dtype=dtype,
            mode="r",
            offset=int(where.get("offset", 0)),
            shape=tuple(tensor.dims),
        )


def _parsed(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own kinds differ from version to version
        raise CannotRebuild(f"{path.name} cannot be read as a graph.") from error


def _constant(node: onnx.NodeProto) -> Array | None:
    for attribute in node.attribute:
        if attribute.name == "value":
            return numpy_helper.to_array(attribute.t)
        value = helper.get_attribute_value(attribute)
        if isinstance(value, float | int | list):
            return np.asarray(value)
    return None


def _folded(node: onnx.NodeProto, inputs: list[Array]) -> Array:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    array = inputs[0]
    match node.op_type:
        case "Transpose":
            return array.transpose(attributes.get("perm"))
        case "Cast":
            return array.astype(helper.tensor_dtype_to_np_dtype(attributes["to"]))
        case "Unsqueeze":
            return np.expand_dims(array, tuple(int(axis) for axis in inputs[1]))
        case "Squeeze":
            axes = tuple(int(axis) for axis in inputs[1]) if len(inputs) > 1 else None
            return np.squeeze(array, axes)
        case "Reshape":
            return array.reshape([int(size) for size in inputs[1]])
        case _:
            return array
