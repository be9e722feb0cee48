"""Takes a shipped graph over, with some of its nodes replaced and only what is needed kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx

from providers.moss_tts_nano.compact.emit import Graph
from providers.moss_tts_nano.compact.shipped import CannotRebuild, Shipped


class Rewrite:
    """A new graph whose nodes are those of a shipped one, in their order, but for replacements."""

    def __init__(self, shipped: Shipped, graph: Graph) -> None:
        self.shipped, self.graph = shipped, graph
        self._replaced: dict[str, list[onnx.NodeProto]] = {}

    def replace(self, node: onnx.NodeProto) -> None:
        """By the nodes that were written into the graph since the last time; one of them gives
        what this one gave."""
        self._replaced[node.output[0]] = self.graph.cut()

    def needs(self, outputs: Iterable[str]) -> set[str]:
        """Of the shipped graph's inputs, those that these outputs need."""
        return self._live(outputs)[1] & self.shipped.inputs.keys()

    def finish(self, outputs: Mapping[str, str], inputs: Mapping[str, str]) -> None:
        """Keep what these outputs need, and call them and the inputs anew: old name, new name.

        Raises: CannotRebuild, if any other input is needed
        """
        kept, needed = self._live(outputs)
        strange = needed & self.shipped.inputs.keys() - inputs.keys()
        if strange:
            raise CannotRebuild(f"{min(strange)} is used in a way that is not known.")
        for name in sorted(needed):
            if self.shipped.is_tensor(name):
                array = self.shipped.constant(name)
                assert array is not None, name
                self.graph.take_weight(name, array)
        self.graph.take(
            [_renamed(node, {**outputs, **inputs}) for node in kept],
            [_called(self.shipped.inputs[name], new) for name, new in inputs.items()],
            [
                _called(self.shipped.outputs[name], new)
                for name, new in outputs.items()
                if name in self.shipped.outputs
            ],
        )

    def _live(self, outputs: Iterable[str]) -> tuple[list[onnx.NodeProto], set[str]]:
        """The nodes that lead to these outputs, and all names that they use."""
        nodes: list[onnx.NodeProto] = []
        for node in self.shipped.nodes:
            nodes += self._replaced.get(node.output[0], [node])
        needed, kept = set(outputs), list[onnx.NodeProto]()
        for node in reversed(nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
                for attribute in node.attribute:
                    needed.update(name for inner in attribute.g.node for name in inner.input)
        return kept[::-1], needed


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for values in (copy.input, copy.output):
        values[:] = [names.get(value, value) for value in values]
    return copy


def _called(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy
