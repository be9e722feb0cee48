"""Whatever is asked in whatever order: both stores answer as the plain model does."""

from __future__ import annotations

import asyncio
import math
from fractions import Fraction

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.accounts.rates import AtOnce, Demand, Granted, Limit, PerDay, PerMinute
from tests.accounts.rates.model import NEVER_S, Model, rates_of, slots_of
from tests.accounts.rates.stage import Stage, Store, staged
from tests.support.redis import RedisServer

NEAR_S = 3e-6
"""Redis tells times in microseconds."""


class Take(msgspec.Struct, frozen=True):
    demands: tuple[Demand, ...]


class Turn(msgspec.Struct, frozen=True):
    """The clock goes on; without `ms` to when the last refusal said, or almost to it."""

    ms: int | None
    almost: bool = False


class Later(msgspec.Struct, frozen=True):
    """Something done with a grant, if there is one."""

    what: str
    which: int
    amount: int = 0


Step = Take | Turn | Later


@st.composite
def plays(draw: st.DrawFn) -> list[Step]:
    """Five limits, two subjects, and up to forty steps."""
    per_minute = st.integers(1, 600)
    amounts: dict[Limit, st.SearchStrategy[int]] = {
        PerMinute(
            scope="key", measure="requests", limit=draw(per_minute), burst=draw(st.integers(1, 9))
        ): st.integers(0, 2),
        PerMinute(
            scope="key", measure="characters", limit=draw(per_minute), burst=500
        ): st.integers(0, 520),
        PerDay(scope="key", measure="requests", limit=draw(st.integers(1, 12))): st.just(1),
        PerDay(scope="global", measure="credits", limit=4_000_000_000): st.integers(
            0, 2_000_000_000
        ),
        AtOnce(scope="key", limit=draw(st.integers(1, 3))): st.just(1),
    }
    of_limit = [
        st.builds(Demand, st.just(limit), st.sampled_from("ab"), amount)
        for limit, amount in amounts.items()
    ]
    takes = st.lists(
        st.one_of(of_limit), min_size=1, unique_by=lambda one: (one.limit, one.subject)
    )
    turns = st.one_of(
        st.builds(Turn, st.integers(1, 90_000)),
        st.builds(Turn, st.none(), st.booleans()),
        st.builds(Turn, st.sampled_from([43_199_999, 43_200_000, 86_400_000])),
    )
    later = st.builds(
        Later,
        st.sampled_from(["give", "refund", "adjust"]),
        st.integers(0, 40),
        st.integers(0, 3_000_000_000),
    )
    step = st.one_of(
        takes.map(lambda demands: Take(tuple(demands))),
        takes.map(lambda demands: Take(tuple(demands))),
        turns,
        later,
    )
    return draw(st.lists(step, min_size=3, max_size=40))


class Performance:
    """A play on a stage, and what the model says to it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._model = Model()
        self._open: list[Granted] = []
        """Grants that can still be refunded or adjusted; any can be given back, even twice."""
        self._all: list[Granted] = []
        self._given: set[str] = set()
        self._wait = Fraction(1)

    async def run(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, Turn):
                self._turn(step)
            elif isinstance(step, Take):
                await self._take(step.demands)
            elif step.what == "give" and self._all:
                await self._give(self._all[step.which % len(self._all)])
            elif step.what != "give" and self._open:
                grant = self._open.pop(step.which % len(self._open))
                await (self._refund(grant) if step.what == "refund" else self._adjust(grant, step))

    def _turn(self, turn: Turn) -> None:
        ms = turn.ms if turn.ms is not None else math.ceil(self._wait * 1000) - turn.almost
        self._stage.clock.turn(ms / 1000)
        self._model.now += Fraction(ms, 1000)

    async def _take(self, demands: tuple[Demand, ...]) -> None:
        verdict = await self._stage.rates.take(demands)
        waits = [self._model.wait(one) for one in demands]
        if isinstance(verdict, Granted):
            assert not any(waits), (demands, waits)
            assert verdict.day == self._model.day
            self._model.add(demands, 1, self._model.day)
            self._open.append(verdict)
            self._all.append(verdict)
        else:
            whose = [(one.limit, one.subject) for one in demands]
            longest_s = float(max(waits))
            assert longest_s, "it should have passed"
            its_s = float(waits[whose.index((verdict.limit, verdict.subject))])
            assert its_s == pytest.approx(longest_s, abs=NEAR_S)
            told_s = verdict.retry_after_s
            self._wait = max(waits) if told_s is not None else Fraction(1)
            assert longest_s == pytest.approx(NEVER_S if told_s is None else told_s, abs=NEAR_S)
        for one, standing in zip(demands, verdict.standings, strict=True):
            assert standing.limit == one.limit
            assert standing.remaining == self._model.remaining(one), one
            assert standing.reset_s == pytest.approx(float(self._model.reset(one)), abs=NEAR_S)

    async def _give(self, grant: Granted) -> None:
        await self._stage.rates.give(grant)
        self._free(grant)

    async def _refund(self, grant: Granted) -> None:
        await self._stage.rates.refund(grant)
        self._model.add(rates_of(grant.demands), -1, grant.day)
        self._free(grant)

    async def _adjust(self, grant: Granted, step: Later) -> None:
        daily = [one for one in grant.demands if isinstance(one.limit, PerDay) and one.amount]
        for demand in daily:
            await self._stage.rates.adjust(grant, demand, step.amount)
            change = msgspec.structs.replace(demand, amount=step.amount - demand.amount)
            if grant.day == self._model.day:
                self._model.add([change], 1, grant.day)

    def _free(self, grant: Granted) -> None:
        if grant.lease not in self._given:
            self._given.add(grant.lease)
            self._model.add(slots_of(grant.demands), -1, grant.day)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(play=plays())
def test_a_store_answers_as_the_model_does(
    play: list[Step], store: Store, server: RedisServer | None
) -> None:
    async def perform() -> None:
        async with staged(store, server) as stage:
            await Performance(stage).run(play)

    asyncio.run(perform())
