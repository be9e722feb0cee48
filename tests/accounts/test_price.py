"""What speech costs: whole nano-credits, rounded up once, and nothing for nothing."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.accounts.price import (
    MOST_NANO,
    Heard,
    Tariff,
    cost_nano,
    credits_of,
    dearest_nano,
    delivered,
    nano_of,
)

SHIPPED = Tariff(per_1k_characters_nano=nano_of(0.005))
"""0.005 credits for 1,000 code points: what the shipped config asks for moss-tts-nano."""

amounts = st.integers(0, 1_000_000)
rates = st.integers(0, 10**12)
tariffs = st.builds(
    Tariff,
    per_1k_characters_nano=rates,
    per_1k_tokens_nano=st.none() | rates,
    per_audio_second_nano=st.none() | rates,
    minimum_nano=rates,
    increment=st.integers(1, 10_000),
    cached_percent=st.integers(0, 100),
)
heard = st.builds(
    Heard,
    characters=amounts,
    audio_ms=amounts,
    tokens=st.none() | amounts,
    cached=st.booleans(),
)


@pytest.mark.parametrize(
    ("characters", "credits"),
    [(0, "0"), (1, "0.000005"), (1_000, "0.005"), (4_096, "0.02048"), (1_000_000, "5")],
)
def test_the_shipped_price_is_exact_to_the_character(characters: int, credits: str) -> None:
    assert credits_of(cost_nano(SHIPPED, Heard(characters=characters))) == credits


def test_a_fraction_of_a_nano_credit_is_rounded_up() -> None:
    tariff = Tariff(per_1k_characters_nano=1)
    assert [cost_nano(tariff, Heard(characters=n)) for n in (1, 999, 1_000, 1_001)] == [1, 1, 1, 2]


def test_tokens_count_where_they_are_reported_and_characters_where_not() -> None:
    tariff = Tariff(per_1k_characters_nano=1_000, per_1k_tokens_nano=9_000)
    assert cost_nano(tariff, Heard(characters=100, tokens=50)) == 450
    assert cost_nano(tariff, Heard(characters=100)) == 100


def test_audio_is_paid_by_the_second_that_was_begun_where_that_is_the_increment() -> None:
    exact = Tariff(per_audio_second_nano=1_000)
    begun = Tariff(per_audio_second_nano=1_000, increment=1_000)
    assert cost_nano(exact, Heard(characters=5, audio_ms=1_500)) == 1_500
    assert cost_nano(begun, Heard(characters=5, audio_ms=1_500)) == 2_000
    assert cost_nano(begun, Heard(characters=5, audio_ms=2_000)) == 2_000


def test_what_was_heard_costs_the_minimum_at_least_and_silence_costs_nothing() -> None:
    tariff = Tariff(per_1k_characters_nano=1_000, minimum_nano=70)
    assert cost_nano(tariff, Heard(characters=1)) == 70
    assert cost_nano(tariff, Heard(characters=71)) == 71
    assert cost_nano(tariff, Heard()) == 0


def test_speech_out_of_the_cache_has_its_own_price() -> None:
    tariff = Tariff(per_1k_characters_nano=1_000, cached_percent=25)
    assert cost_nano(tariff, Heard(characters=1_000)) == 1_000
    assert cost_nano(tariff, Heard(characters=1_000, cached=True)) == 250
    free = Tariff(per_1k_characters_nano=1_000, minimum_nano=50, cached_percent=0)
    assert cost_nano(free, Heard(characters=1_000, cached=True)) == 0


@given(tariffs, heard)
def test_a_cost_is_the_exact_price_and_less_than_an_increment_more(
    tariff: Tariff, heard: Heard
) -> None:
    if tariff.per_1k_tokens_nano is not None and heard.tokens is not None:
        amount, rate = heard.tokens, tariff.per_1k_tokens_nano
    elif tariff.per_audio_second_nano is not None:
        amount, rate = heard.audio_ms, tariff.per_audio_second_nano
    else:
        amount, rate = heard.characters, tariff.per_1k_characters_nano
    share = Fraction(tariff.cached_percent if heard.cached else 100, 100)
    cost = cost_nano(tariff, heard)
    if not (heard.characters or heard.audio_ms or heard.tokens):
        assert cost == 0
        return
    least = Fraction(tariff.minimum_nano)
    exact = max(Fraction(amount * rate, 1_000), least) * share
    most = max(Fraction((amount + tariff.increment) * rate, 1_000), least) * share
    assert exact <= cost < most + 2


@given(tariffs, amounts, amounts, amounts, st.data())
def test_no_cost_is_above_what_was_reserved_for_it(
    tariff: Tariff, characters: int, most_ms: int, most_tokens: int, data: st.DataObject
) -> None:
    dearest = dearest_nano(tariff, characters, most_audio_ms=most_ms, most_tokens=most_tokens)
    spoken = Heard(
        characters=data.draw(st.integers(0, characters)),
        audio_ms=data.draw(st.integers(0, most_ms)),
        tokens=data.draw(st.none() | st.integers(0, most_tokens)),
    )
    assert cost_nano(tariff, spoken) <= dearest


@given(tariffs, heard, amounts)
def test_a_broken_speech_costs_no_more_than_the_whole_one(
    tariff: Tariff, whole: Heard, heard_ms: int
) -> None:
    part = delivered(whole, min(heard_ms, whole.audio_ms))
    assert cost_nano(tariff, part) <= cost_nano(tariff, whole)


def test_of_a_broken_speech_the_delivered_part_is_paid() -> None:
    whole = Heard(characters=1_000, audio_ms=60_000, tokens=800)
    assert delivered(whole, 15_000) == Heard(characters=250, audio_ms=15_000, tokens=200)
    assert delivered(whole, 0) == Heard()
    assert delivered(whole, 90_000) == Heard(characters=1_000, audio_ms=90_000, tokens=800)
    assert delivered(Heard(characters=10), 500) == Heard(characters=10, audio_ms=500)


@given(st.integers(-MOST_NANO, MOST_NANO))
def test_a_decimal_string_says_an_amount_exactly(nano: int) -> None:
    shown = credits_of(nano)
    assert Decimal(shown) * 1_000_000_000 == nano
    assert "E" not in shown
    if nano >= 0:
        assert nano_of(shown) == nano


@pytest.mark.parametrize("wrong", ["", "much", "-1", "nan", "inf", "1000000000.1", "1e99", -0.5])
def test_what_is_no_amount_is_refused(wrong: str | float) -> None:
    with pytest.raises(ValueError, match="credits"):
        nano_of(wrong)


def test_no_cost_overflows_what_the_store_can_hold() -> None:
    dear = Tariff(per_1k_characters_nano=MOST_NANO, increment=1_000)
    assert cost_nano(dear, Heard(characters=10**6)) == MOST_NANO
