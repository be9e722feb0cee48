"""Products in 8 bits: near those in float32, and each row by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from providers.moss_tts_nano.compact.emit import FLOAT, Graph
from providers.moss_tts_nano.compact.quantise import (
    Floats,
    Store,
    eight_bit_alone,
    eight_bit_blocks,
    eight_bit_rows,
    exact,
)
from providers.moss_tts_nano.sessions import open_session

INPUTS, OUTPUTS = 768, 96
Multiply = Callable[[Floats], Floats]


def product(folder: Path, store: Store, weight: Floats) -> Multiply:
    """Multiplies [rows, inputs] by the weight as a graph does that is stored so."""
    path = folder / f"{store.__name__}.onnx"
    with Graph(path) as graph:
        x = graph.input("x", FLOAT, ["rows", 1, len(weight)])
        graph.named("y", store(graph, weight)(x))
        graph.output("y", FLOAT, ["rows", 1, weight.shape[1]])
        graph.save()
    session = open_session(path, 1)

    def multiply(rows: Floats) -> Floats:
        (found,) = session.run(None, {"x": rows[:, None]})
        flat: Floats = found[:, 0]
        return flat

    return multiply


def noise_db(found: Floats, expected: Floats) -> float:
    return float(10 * np.log10((expected**2).mean() / ((found - expected) ** 2).mean()))


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def weight(chance: np.random.Generator) -> Floats:
    return chance.standard_normal((INPUTS, OUTPUTS), np.float32)


@pytest.fixture
def rows(chance: np.random.Generator) -> Floats:
    loudness = np.array([[1.0], [1e-6], [1e3], [0.1], [1.0], [1.0], [5.0], [1e-3]], np.float32)
    return loudness * chance.standard_normal((8, INPUTS), np.float32)


@pytest.mark.parametrize("store", [eight_bit_rows, eight_bit_blocks])
def test_each_row_is_near_however_loud_it_is(
    tmp_path: Path, store: Store, weight: Floats, rows: Floats
) -> None:
    found, expected = product(tmp_path, store, weight)(rows), rows @ weight
    assert min(noise_db(*pair) for pair in zip(found, expected, strict=True)) > 35


def test_a_row_alone_is_as_near(tmp_path: Path, weight: Floats, rows: Floats) -> None:
    multiply = product(tmp_path, eight_bit_alone, weight)
    assert min(noise_db(multiply(row[None]), row[None] @ weight) for row in rows) > 35


@pytest.mark.parametrize("store", [exact, eight_bit_rows, eight_bit_blocks])
def test_a_row_is_the_same_to_the_last_bit_in_any_company(
    tmp_path: Path, store: Store, weight: Floats, rows: Floats
) -> None:
    multiply = product(tmp_path, store, weight)
    together = multiply(rows)
    assert all(np.array_equal(multiply(rows[at : at + 1])[0], together[at]) for at in range(8))


@pytest.mark.parametrize("store", [eight_bit_rows, eight_bit_alone])
def test_the_largest_sums_do_not_overflow(tmp_path: Path, store: Store) -> None:
    signs = np.where(np.arange(OUTPUTS) % 2, -1, 1).astype(np.float32)
    weight = np.tile(np.array([[64], [63]], np.float32), (INPUTS // 2, 1)) * signs
    found = product(tmp_path, store, weight)(np.ones((3, INPUTS), np.float32))
    assert np.allclose(found, INPUTS // 2 * 127 * signs, rtol=1e-5)


@pytest.mark.parametrize("store", [eight_bit_rows, eight_bit_alone])
def test_neighbours_that_are_added_up_do_not_overflow(tmp_path: Path, store: Store) -> None:
    """Large weights stand beside each other, and each is paired with a small one."""
    weight = np.tile(np.array([[0], [1], [1], [0]], np.float32), (INPUTS // 4, OUTPUTS))
    found = product(tmp_path, store, weight)(np.ones((1, INPUTS), np.float32))
    assert np.allclose(found, INPUTS / 2, rtol=1e-5)


@pytest.mark.parametrize("inputs", [1, 31])
@pytest.mark.parametrize("store", [eight_bit_rows, eight_bit_alone])
def test_the_last_of_an_odd_number_counts(tmp_path: Path, store: Store, inputs: int) -> None:
    weight = np.zeros((inputs, OUTPUTS), np.float32)
    weight[-1] = np.linspace(-3, 3, OUTPUTS)
    found = product(tmp_path, store, weight)(np.ones((1, inputs), np.float32))
    assert np.allclose(found[0], weight[-1], rtol=0.02)


@pytest.mark.parametrize("store", [eight_bit_rows, eight_bit_alone])
def test_of_nothing_comes_nothing(tmp_path: Path, store: Store, weight: Floats) -> None:
    found = product(tmp_path, store, weight)(np.zeros((2, INPUTS), np.float32))
    assert not found.any()


def test_blocks_bear_with_a_number_that_is_much_larger_than_its_row(
    tmp_path: Path, weight: Floats, rows: Floats
) -> None:
    rows[:, 5] *= 300
    weight[5] = 0  # what it is multiplied by is not asked; what is lost beside it is
    by_rows, by_blocks = (
        noise_db(product(tmp_path, store, weight)(rows), rows @ weight)
        for store in (eight_bit_rows, eight_bit_blocks)
    )
    assert by_blocks > by_rows + 6
