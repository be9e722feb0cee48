"""The orders of a route: as listed, by weight, by price, by speed."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.contract.speech import Cost
from router.routing.order import TRIED_SHARE, Belief, Beliefs, ordered, price
from router.settings.structs import Order


class One(msgspec.Struct, frozen=True):
    """Somebody who can be ordered."""

    provider: str
    model: str = "m"
    weight: float = 1.0
    cost: Cost | None = None


THREE = (One("a"), One("b"), One("c"))


def names(
    candidates: tuple[One, ...],
    order: Order,
    beliefs: Beliefs | None = None,
    *,
    characters: int = 300,
    dice: float = 0.5,
    first: str | None = None,
) -> str:
    found = ordered(candidates, order, beliefs or {}, characters=characters, dice=dice, first=first)
    return "".join(one.provider for one in found)


@given(
    st.sampled_from(["listed", "weighted", "cheapest", "fastest"]),
    st.floats(0, 1, exclude_max=True),
    st.lists(st.floats(0, 9), min_size=3, max_size=3),
)
def test_nobody_is_lost_and_nobody_comes_twice(
    order: Order, dice: float, weights: list[float]
) -> None:
    three = tuple(One(name, weight=weight) for name, weight in zip("abc", weights, strict=True))
    assert sorted(names(three, order, dice=dice)) == ["a", "b", "c"]


def test_as_listed_is_as_listed() -> None:
    assert names(THREE, "listed") == "abc"


def test_the_first_is_drawn_by_its_weight_and_the_others_follow_as_listed() -> None:
    three = (One("a", weight=1), One("b", weight=0), One("c", weight=3))
    drawn = Counter(names(three, "weighted", dice=at / 400) for at in range(400))
    assert drawn == {"abc": 100, "cab": 300}


def test_the_cheapest_is_asked_first_and_who_has_no_price_is_free() -> None:
    three = (One("a", cost=Cost(per_1k_chars=0.015)), One("b", cost=Cost(per_minute=0.3)), One("c"))
    assert names(three, "cheapest") == "cab"
    assert price(Cost(per_1k_chars=2, per_minute=3), 900) == pytest.approx(1.8 + 3)


def test_the_fastest_is_asked_first_and_who_was_never_heard_before_it() -> None:
    beliefs = {("a", "m"): Belief(first_audio_s=0.9), ("b", "m"): Belief(first_audio_s=0.2)}
    assert names(THREE, "fastest", beliefs) == "cba"


def test_who_cannot_keep_up_with_the_listener_is_slow_for_long_texts() -> None:
    beliefs = {
        ("a", "m"): Belief(first_audio_s=0.1, real_time_factor=1.5),
        ("b", "m"): Belief(first_audio_s=2.0, real_time_factor=0.1),
    }
    assert names(THREE[:2], "fastest", beliefs, characters=15) == "ab"
    assert names(THREE[:2], "fastest", beliefs, characters=1500) == "ba"


def test_one_request_in_twenty_tries_another_first() -> None:
    beliefs = {(one.provider, "m"): Belief(first_audio_s=at) for at, one in enumerate(THREE)}
    drawn = Counter(names(THREE, "fastest", beliefs, dice=at / 4000) for at in range(4000))
    assert drawn["abc"] == 4000 * (1 - TRIED_SHARE)
    assert drawn["bac"] == drawn["cab"] == 4000 * TRIED_SHARE / 2


@pytest.mark.parametrize("order", ["listed", "weighted", "cheapest", "fastest"])
def test_who_is_preferred_comes_first_whatever_the_order(order: Order) -> None:
    assert names(THREE, order, first="c")[0] == "c"
    assert sorted(names(THREE, order, first="nobody")) == ["a", "b", "c"]


def test_whose_name_is_preferred_is_found_in_any_case_and_the_one_so_written_before_all() -> None:
    four = (One("a"), One("B"), One("b"), One("c"))
    assert names(four, "listed", first="C") == "caBb"
    assert names(four, "listed", first="b") == "bBac"
    assert names(four, "listed", first="B") == "Bbac"
