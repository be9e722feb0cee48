"""What every store of rates promises; each test runs on all of them."""

from __future__ import annotations

import asyncio

import pytest

from router.accounts.rates import (
    AtOnce,
    Demand,
    Granted,
    Limit,
    PerDay,
    PerMinute,
    Refused,
    Verdict,
)
from tests.accounts.rates.stage import Stage

REQUESTS = PerMinute(scope="key", measure="requests", limit=60, burst=3)
CHARACTERS = PerMinute(scope="key", measure="characters", limit=6_000)
DAILY = PerDay(scope="key", measure="requests", limit=2)
CREDITS = PerDay(scope="key", measure="credits", limit=9_000_000_000)
SLOTS = AtOnce(scope="key", limit=2)
HALF_DAY_S = 43_200


def granted(verdict: Verdict) -> Granted:
    assert isinstance(verdict, Granted), verdict
    return verdict


def refused(verdict: Verdict) -> Refused:
    assert isinstance(verdict, Refused), verdict
    return verdict


async def remaining(stage: Stage, limit: Limit, subject: str = "k") -> int:
    return granted(await stage.rates.take([Demand(limit, subject, 0)])).standings[0].remaining


async def test_a_burst_passes_at_once_and_then_the_rate(stage: Stage) -> None:
    one = [Demand(REQUESTS, "k")]
    for left in (2, 1, 0):
        standing = granted(await stage.rates.take(one)).standings[0]
        assert standing.remaining == left
    assert standing.reset_s == pytest.approx(3, abs=1e-5)
    answer = refused(await stage.rates.take(one))
    assert answer.limit == REQUESTS
    assert answer.subject == "k"
    assert answer.retry_after_s == pytest.approx(1, abs=1e-5)
    assert not answer.is_useless
    stage.clock.turn(0.999)
    refused(await stage.rates.take(one))
    stage.clock.turn(0.001)
    granted(await stage.rates.take(one))
    refused(await stage.rates.take(one))


async def test_no_window_lets_twice_the_rate_through(stage: Stage) -> None:
    """Whatever minute one looks at: burst and rate, and no more."""
    passed = 0
    for _ in range(600):
        passed += isinstance(await stage.rates.take([Demand(REQUESTS, "k")]), Granted)
        stage.clock.turn(0.1)
    assert passed == 3 + 59


async def test_a_refused_request_consumes_nothing(stage: Stage) -> None:
    both = [Demand(CHARACTERS, "k", 4_000), Demand(DAILY, "k"), Demand(SLOTS, "k")]
    granted(await stage.rates.take(both))
    answer = refused(await stage.rates.take(both))
    assert answer.limit == CHARACTERS
    assert answer.retry_after_s == pytest.approx(20, abs=1e-5)
    assert [one.remaining for one in answer.standings] == [2_000, 1, 1]
    assert await remaining(stage, CHARACTERS) == 2_000
    assert await remaining(stage, DAILY) == 1
    assert await remaining(stage, SLOTS) == 1


async def test_of_several_refusals_the_longest_wait_is_told(stage: Stage) -> None:
    all_of_it = [Demand(REQUESTS, "k", 3), Demand(DAILY, "k", 2), Demand(SLOTS, "k")]
    await stage.rates.take(all_of_it)
    answer = refused(await stage.rates.take(all_of_it))
    assert answer.limit == DAILY
    assert answer.is_useless


async def test_a_day_ends_at_midnight_in_utc(stage: Stage) -> None:
    one = [Demand(DAILY, "k")]
    granted(await stage.rates.take(one))
    granted(await stage.rates.take(one))
    stage.clock.turn(HALF_DAY_S - 10)
    answer = refused(await stage.rates.take(one))
    assert answer.retry_after_s == pytest.approx(10, abs=1e-5)
    assert answer.is_useless, "no SDK should sleep for it"
    assert answer.standings[0].reset_s == pytest.approx(10, abs=1e-5)
    stage.clock.turn(10)
    assert granted(await stage.rates.take(one)).standings[0].remaining == 1


async def test_what_is_larger_than_its_limit_never_passes(stage: Stage) -> None:
    for limit in (REQUESTS, CHARACTERS, DAILY, CREDITS):
        answer = refused(await stage.rates.take([Demand(limit, "k", 10_000_000_000)]))
        assert answer.retry_after_s is None
        assert answer.is_useless


async def test_a_long_wait_is_not_worth_telling_an_sdk(stage: Stage) -> None:
    slow = PerMinute(scope="key", measure="characters", limit=1_000, burst=5_000)
    granted(await stage.rates.take([Demand(slow, "k", 5_000)]))
    assert refused(await stage.rates.take([Demand(slow, "k", 1_001)])).is_useless
    assert not refused(await stage.rates.take([Demand(slow, "k", 1_000)])).is_useless


async def test_subjects_uses_and_scopes_are_counted_apart(stage: Stage) -> None:
    one = PerMinute(scope="key", measure="requests", limit=1)
    granted(await stage.rates.take([Demand(one, "k")]))
    granted(await stage.rates.take([Demand(one, "other")]))
    logins = PerMinute(scope="key", use="login", measure="requests", limit=1)
    granted(await stage.rates.take([Demand(logins, "k")]))
    by_address = PerMinute(scope="address", measure="requests", limit=1)
    granted(await stage.rates.take([Demand(by_address, "k")]))
    refused(await stage.rates.take([Demand(one, "k")]))


async def test_a_slot_is_free_when_it_is_given_back_and_twice_gives_one(stage: Stage) -> None:
    one = [Demand(SLOTS, "k"), Demand(AtOnce(scope="global", limit=9))]
    first, _ = [granted(await stage.rates.take(one)) for _ in range(2)]
    answer = refused(await stage.rates.take(one))
    assert answer.limit == SLOTS
    assert answer.retry_after_s == 1
    for _ in range(3):
        await stage.rates.give(first)
    granted(await stage.rates.take(one))
    refused(await stage.rates.take(one))


async def test_giving_back_leaves_the_rates_taken(stage: Stage) -> None:
    await stage.rates.give(
        granted(await stage.rates.take([Demand(REQUESTS, "k"), Demand(SLOTS, "k")]))
    )
    assert await remaining(stage, REQUESTS) == 2
    assert await remaining(stage, SLOTS) == 2


async def test_a_refund_leaves_it_as_if_it_had_never_been(stage: Stage) -> None:
    demands = [Demand(limit, "k") for limit in (REQUESTS, CHARACTERS, DAILY, CREDITS, SLOTS)]
    before = [await remaining(stage, one.limit) for one in demands]
    await stage.rates.refund(granted(await stage.rates.take(demands)))
    assert [await remaining(stage, one.limit) for one in demands] == before


async def test_a_days_credits_are_corrected_both_ways(stage: Stage) -> None:
    one = granted(await stage.rates.take([Demand(CREDITS, "k", 8_000_000_000)]))
    await stage.rates.adjust(one, one.demands[0], 5_000_000)
    assert await remaining(stage, CREDITS) == 8_995_000_000
    other = granted(await stage.rates.take([Demand(CREDITS, "k", 1)]))
    await stage.rates.adjust(other, other.demands[0], 8_999_000_000)
    assert await remaining(stage, CREDITS) == 0, "it came to more than there was"
    refused(await stage.rates.take([Demand(CREDITS, "k", 1)]))


async def test_a_correction_after_midnight_does_not_touch_the_new_day(stage: Stage) -> None:
    one = granted(await stage.rates.take([Demand(CREDITS, "k", 1_000)]))
    other = granted(await stage.rates.take([Demand(CREDITS, "k", 1_000)]))
    stage.clock.turn(HALF_DAY_S)
    await stage.rates.adjust(other, other.demands[0], 2_000)
    assert await remaining(stage, CREDITS) == CREDITS.limit
    granted(await stage.rates.take([Demand(CREDITS, "k", 10)]))
    await stage.rates.adjust(one, one.demands[0], 0)
    assert await remaining(stage, CREDITS) == CREDITS.limit - 10


async def test_a_limit_that_was_made_smaller_locks_nobody_out_for_longer_than_its_own_burst(
    stage: Stage,
) -> None:
    granted(await stage.rates.take([Demand(CHARACTERS, "k", 6_000)]))
    smaller = PerMinute(scope="key", measure="characters", limit=6_000, burst=100)
    answer = refused(await stage.rates.take([Demand(smaller, "k", 100)]))
    assert answer.retry_after_s == pytest.approx(1, abs=1e-5)


async def test_many_at_once_get_what_there_is_and_no_more(stage: Stage) -> None:
    verdicts = await asyncio.gather(
        *(stage.rates.take([Demand(CHARACTERS, "k", 100), Demand(SLOTS, "k")]) for _ in range(50))
    )
    assert sum(isinstance(one, Granted) for one in verdicts) == 2
    assert await remaining(stage, CHARACTERS) == 5_800


async def test_nothing_is_asked_of_no_limit(stage: Stage) -> None:
    assert granted(await stage.rates.take([])).standings == ()


@pytest.mark.parametrize("limit", [0, -1, 2**54])
def test_a_limit_that_cannot_be_counted_is_refused_when_it_is_made(limit: int) -> None:
    with pytest.raises(ValueError, match="between 1 and"):
        PerDay(scope="key", measure="requests", limit=limit)
    with pytest.raises(ValueError, match="between 1 and"):
        PerMinute(scope="key", measure="requests", limit=1, burst=limit)
