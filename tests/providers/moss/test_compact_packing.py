"""Packing: the same numbers from a mapped file, or the graph stays as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from providers.moss_tts_nano.compact import packing
from providers.moss_tts_nano.compact.emit import FLOAT, Graph
from providers.moss_tts_nano.sessions import open_session

ROWS = np.random.default_rng(1).standard_normal((3, 64), np.float32)
WEIGHT = np.random.default_rng(2).standard_normal((64, 48), np.float32)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "graph-plain.onnx"
    with Graph(path) as graph:
        x = graph.input("x", FLOAT, ["rows", 64])
        graph.named("y", graph.op("MatMul", x, graph.weight(WEIGHT)))
        graph.output("y", FLOAT, ["rows", 48])
        graph.save()
    return path


def multiplied(path: Path) -> NDArray[Any]:
    (found,) = open_session(path, 1).run(None, {"x": ROWS})
    product: NDArray[Any] = found
    return product


def test_a_packed_graph_gives_the_same_and_the_plain_one_is_gone(
    plain: Path, tmp_path: Path
) -> None:
    packed, before = tmp_path / "graph.onnx", multiplied(plain)

    packing.pack(plain, packed, lambda _: {"x": ROWS})

    assert np.array_equal(multiplied(packed), before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.data", "graph.onnx"]


def test_a_graph_that_packing_spoils_stays_as_it_was(plain: Path, tmp_path: Path) -> None:
    packed, before = tmp_path / "graph.onnx", multiplied(plain)
    chance = np.random.default_rng(3)

    def never_the_same(_: Mapping[str, Sequence[int | str]]) -> dict[str, NDArray[Any]]:
        return {"x": chance.standard_normal(ROWS.shape, np.float32)}

    packing.pack(plain, packed, never_the_same)

    assert np.array_equal(multiplied(packed), before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph-plain.data", "graph.onnx"]


def test_a_processor_is_told_by_what_it_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(packing, "_CPUINFO", info)
    marks = []
    for flags in ("avx2", "avx2 avx512f"):
        for mhz in ("2000", "3000"):
            info.write_text(f"processor : 0\nflags : {flags}\ncpu MHz : {mhz}\n")
            marks.append(packing.processor())

    assert marks[0] == marks[1] != marks[2] == marks[3]
