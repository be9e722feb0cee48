"""Writes a graph node by node, with its weights in a file beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
INT32, INT64 = TensorProto.INT32, TensorProto.INT64
MICROSOFT = "com.microsoft"
OPSET = 17
"""That of the shipped graphs."""
_IR_VERSION = 8
SMALL_BYTES = 1024
"""Less stays in the graph."""
_PAGE = 4096
"""Weights begin at a page, so that they can be mapped."""

Dims = list[int | str]
Array = NDArray[Any]


class _Place(NamedTuple):
    """Bytes of a data file."""

    file: str
    start: int
    size: int


class Graph:
    """Nodes, inputs and outputs; weights go to the data file at once and are not kept.

    `save` writes the graph; `with` closes the data file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.folder = path.parent
        self._data_name = path.with_suffix(".data").name
        self._data = path.with_suffix(".data").open("wb")
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._names = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._data.close()

    def input(self, name: str, kind: int, shape: Dims) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, kind: int, shape: Dims) -> None:
        """A tensor that is named so goes out."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def ops(self, kind: str, outputs: int | list[str], *inputs: str, **more: Any) -> list[str]:
        """A node with several outputs, or with outputs of given names."""
        if isinstance(outputs, int):
            outputs = [self.name() for _ in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, **more))
        return outputs

    def op(self, kind: str, *inputs: str, **more: Any) -> str:
        return self.ops(kind, 1, *inputs, **more)[0]

    def contrib(self, kind: str, *inputs: str, **more: Any) -> str:
        """A node that onnxruntime has beyond the standard."""
        return self.op(kind, *inputs, domain=MICROSOFT, **more)

    def named(self, name: str, tensor: str) -> None:
        """Give a tensor a second name: that of an output."""
        self.ops("Identity", [name], tensor)

    def constant(self, value: ArrayLike, dtype: Any = np.int64) -> str:
        """A small one, kept in the graph; equal ones are the same."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name = self.name()
            self._tensors.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def weight(self, array: Array) -> str:
        name = self.name()
        self._put(name, array)
        return name

    def elsewhere(self, shape: tuple[int, ...], file: str, start: int = 0) -> str:
        """A float32 weight in another file of the same folder."""
        name = self.name()
        size = 4 * int(np.prod(shape))
        self._external(name, FLOAT, shape, _Place(file, start, size))
        return name

    def cut(self) -> list[onnx.NodeProto]:
        """Take the nodes out that were written so far."""
        nodes, self._nodes = self._nodes, []
        return nodes

    def take(
        self,
        nodes: Iterable[onnx.NodeProto],
        inputs: Iterable[onnx.ValueInfoProto],
        outputs: Iterable[onnx.ValueInfoProto],
    ) -> None:
        """Nodes, inputs and outputs of another graph, as they are."""
        self._nodes += nodes
        self._inputs += inputs
        self._outputs += outputs

    def take_weight(self, name: str, array: Array) -> None:
        """A weight that has its name already; small ones stay in the graph."""
        if array.nbytes < SMALL_BYTES:
            self._tensors.append(numpy_helper.from_array(np.asarray(array), name))
        else:
            self._put(name, array)

    def save(self) -> None:
        graph = helper.make_graph(
            self._nodes, self._path.stem, self._inputs, self._outputs, self._tensors
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        self._path.write_bytes(model.SerializeToString())

    def _put(self, name: str, array: Array) -> None:
        array = np.ascontiguousarray(array)
        self._data.write(bytes(-self._data.tell() % _PAGE))
        start = self._data.tell()
        self._data.write(array.data)
        place = _Place(self._data_name, start, array.nbytes)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self._external(name, kind, array.shape, place)

    def _external(self, name: str, kind: int, shape: tuple[int, ...], place: _Place) -> None:
        tensor = TensorProto(name=name, dims=shape, data_type=kind)
        tensor.data_location = TensorProto.EXTERNAL
        told = {"location": place.file, "offset": place.start, "length": place.size}
        for key, value in told.items():
            tensor.external_data.add(key=key, value=str(value))
        self._tensors.append(tensor)

    def name(self) -> str:
        self._names += 1
        return f"compact.{self._names}"
