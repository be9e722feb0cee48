"""The breaker: opens at the configured rates, tries one at a time, comes back."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.dispatch.breaker import Breaker
from router.settings.outlook import Outlook

PLAIN = Outlook(window_s=60, least=5, error_rate=0.5, slow_s=10, cool_s=4, cool_most_s=60)


def breaker(**changed: float) -> Breaker:
    fields = {name: getattr(PLAIN, name) for name in PLAIN.__struct_fields__}
    return Breaker(Outlook(**{**fields, **changed}), lambda: 0.0)


def asked(on: Breaker, now: float) -> object:
    leave = on.ask(now)
    assert leave is not None
    return leave


def fail(on: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        on.failed(asked(on, now), now, "broken")


def succeed(on: Breaker, now: float, times: int = 1, after_s: float = 0.1) -> None:
    for _ in range(times):
        on.sounded(asked(on, now), now, after_s)


def test_it_opens_at_the_error_rate_and_not_before() -> None:
    on = breaker()
    succeed(on, 1.0, 5)
    fail(on, 2.0, 4)
    assert on.state(2.0) == "closed"
    fail(on, 2.0)
    assert on.state(2.0) == "open"
    assert on.reason == "broken"


def test_a_few_failures_alone_mean_nothing() -> None:
    on = breaker()
    fail(on, 1.0, 4)
    assert on.state(1.0) == "closed"


def test_what_is_older_than_the_window_is_forgotten() -> None:
    on = breaker()
    fail(on, 1.0, 4)
    fail(on, 70.0)
    assert on.state(70.0) == "closed"
    assert on.rates(70.0).asked == 1


def test_slow_answers_open_it_too() -> None:
    on = breaker()
    succeed(on, 1.0, 5, after_s=12.0)
    assert (on.state(1.0), on.reason) == ("open", "slow")


def test_a_speech_that_breaks_after_its_first_sound_counts_as_one_failure() -> None:
    on = breaker()
    for _ in range(5):
        succeed(on, 1.0)
        on.broke(1.5, "broken")
    assert on.state(2.0) == "open"


def test_a_bad_key_opens_it_at_once() -> None:
    on = breaker()
    on.failed(asked(on, 1.0), 1.0, "bad_key", at_once=True)
    assert on.state(1.0) == "open"


def test_one_is_let_through_on_trial_and_decides() -> None:
    on = breaker()
    fail(on, 1.0, 5)
    assert on.ask(4.9) is None
    trial = asked(on, 5.0)
    assert on.state(5.0) == "half_open"
    assert on.ask(5.0) is None
    on.sounded(trial, 5.5, 0.2)
    assert on.state(5.5) == "closed"
    succeed(on, 5.5, 100)


def test_the_rest_grows_with_each_trial_that_fails_up_to_its_cap() -> None:
    on, now, rests = breaker(), 1.0, []
    fail(on, now, 5)
    for _ in range(7):
        rests.append(on.wait_s(now))
        now += on.wait_s(now)
        fail(on, now)
    assert rests == [4, 8, 16, 32, 60, 60, 60]


def test_a_relapse_soon_after_recovery_rests_longer_and_a_late_one_does_not() -> None:
    on = breaker()
    fail(on, 1.0, 5)
    succeed(on, 5.0)
    fail(on, 6.0, 5)
    assert on.wait_s(6.0) == 8
    succeed(on, 14.0)
    fail(on, 200.0, 5)
    assert on.wait_s(200.0) == 4


def test_its_own_retry_after_is_obeyed_up_to_the_cap() -> None:
    on = breaker()
    on.rests(1.0, 20.0, "busy")
    assert (on.state(20.9), on.wait_s(1.0)) == ("open", 20.0)
    on.rests(2.0, 5.0, "busy")
    assert on.wait_s(2.0) == 19.0, "a shorter wish does not shorten it"
    on.rests(2.0, 9_999.0, "busy")
    assert on.wait_s(2.0) == 60.0


def test_a_trial_that_comes_to_nothing_leaves_the_next_one_free() -> None:
    on = breaker()
    fail(on, 1.0, 5)
    on.dropped(asked(on, 6.0))
    assert on.ask(6.0) is not None


def test_who_asked_before_it_opened_decides_nothing_any_more() -> None:
    on = breaker()
    early = [asked(on, 1.0) for _ in range(3)]
    fail(on, 1.0, 5)
    on.sounded(early[0], 2.0, 0.1)
    on.failed(early[1], 2.0, "broken")
    assert (on.state(2.0), on.wait_s(1.0)) == ("open", 4)
    trial = asked(on, 5.0)
    on.failed(early[2], 5.0, "broken")
    assert on.state(5.0) == "half_open"
    on.sounded(trial, 5.0, 0.1)
    assert on.state(5.0) == "closed"


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order, held against a plain account of it."""

    @initialize(dice=st.floats(0, 1))
    def begin(self, dice: float) -> None:
        self.on = Breaker(PLAIN, lambda: dice)
        self.now = 0.0
        self.out: list[object] = []
        self.trials: set[int] = set()

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        before = self.on.state(self.now)
        leave = self.on.ask(self.now)
        if before == "closed":
            assert leave is not None
        if before == "open":
            assert leave is None
        if before == "half_open" and leave is not None:
            assert not self.trials, "two trials at once"
            self.trials.add(id(leave))
        if leave is not None:
            self.out.append(leave)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), what=st.sampled_from(["sounded", "slow", "failed", "dropped", "key"]))
    def hand_back(self, data: st.DataObject, what: str) -> None:
        leave = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        on_trial = id(leave) in self.trials
        before = self.on.state(self.now)
        if what in ("sounded", "slow"):
            self.on.sounded(leave, self.now, 0.1 if what == "sounded" else 11.0)
        elif what == "dropped":
            self.on.dropped(leave)
        else:
            self.on.failed(leave, self.now, "broken", at_once=what == "key")
        self.trials.discard(id(leave))
        after = self.on.state(self.now)
        if what == "dropped":
            assert after == before
        if on_trial and what == "sounded":
            assert after == "closed"
        if on_trial and what in ("slow", "failed", "key"):
            assert after == "open"
        if after == "open":
            self.trials.clear()  # whoever was on trial decides nothing any more

    @invariant()
    def it_rests_no_longer_than_its_cap(self) -> None:
        assert self.on.wait_s(self.now) <= PLAIN.cool_most_s


LifeOfABreaker = Life.TestCase
LifeOfABreaker.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.9])
def test_it_opens_exactly_at_the_configured_rate(rate: float) -> None:
    on = breaker(error_rate=rate, slow_rate=1.0, least=100)
    succeed(on, 1.0, 100)
    failures = 0
    while on.state(1.0) == "closed":
        fail(on, 1.0)
        failures += 1
    assert failures / (100 + failures) == pytest.approx(rate, abs=0.01)
