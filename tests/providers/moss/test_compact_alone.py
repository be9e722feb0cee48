"""The graph of one row: made of that of many, and of no weights of its own."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from providers.moss_tts_nano.compact import store
from providers.moss_tts_nano.compact.alone import write_alone
from providers.moss_tts_nano.compact.build import Precision, alone_file, graph_file
from providers.moss_tts_nano.compact.quantise import ALONE, ROWS
from providers.moss_tts_nano.compact.store import Built
from tests.providers.moss.tiny import Tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def built(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return store.make(tiny.layout, tmp_path_factory.mktemp("cache"), "int8")


def graph(path: Path) -> onnx.ModelProto:
    return onnx.load(path, load_external_data=False)


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_each_product_is_one_node(built: Built) -> None:
    many = graph(built.folder / graph_file("language_model"))
    one = graph(built.folder / alone_file("language_model"))
    assert kinds(one).count(ALONE) == kinds(many).count(ROWS) > 0
    assert len(one.graph.node) == len(many.graph.node) - 5 * kinds(many).count(ROWS)
    assert not {ROWS, "Abs", "ReduceMax", "QuantizeLinear"} & set(kinds(one))


def test_it_reads_the_packed_weights_of_the_other(built: Built) -> None:
    def places(file: str) -> dict[str, dict[str, str]]:
        return {
            tensor.name: {entry.key: entry.value for entry in tensor.external_data}
            for tensor in graph(built.folder / file).graph.initializer
            if tensor.external_data
        }

    many = places(graph_file("language_model"))
    one = places(alone_file("language_model"))
    packed = [name for name, place in many.items() if "prepacked_0" in place]
    assert packed
    for name, place in many.items():
        was = place.get("prepacked_0", "")
        assert one[name].get("prepacked_0", "") == was.replace(f"{ROWS}+", f"{ALONE}+")
        assert one[name]["location"] == place["location"] == "language_model.data"
        assert one[name]["offset"] == place["offset"]


def test_what_is_not_understood_is_left_to_the_graph_of_many(built: Built, tmp_path: Path) -> None:
    model = graph(built.folder / graph_file("language_model"))
    next(node for node in model.graph.node if node.op_type == "Abs").op_type = "Relu"
    many, one = tmp_path / "many.onnx", tmp_path / "one.onnx"
    many.write_bytes(model.SerializeToString())
    write_alone(many, one)
    assert not one.exists()


@pytest.mark.parametrize("precision", ["exact", "int8-blocks"])
def test_other_products_need_no_second_graph(
    tiny: Tiny, tmp_path: Path, precision: Precision
) -> None:
    folder = store.make(tiny.layout, tmp_path, precision).folder
    assert not list(folder.glob("*alone*"))
