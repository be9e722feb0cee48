"""What a request costs: set aside by the dearest, charged by the one that spoke, once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from router.accounts.gate import KeyedGate
from router.accounts.usage import UsageQuery, UsageRow
from router.contract.caller import Caller, Delivered, Offer, Price, Share
from router.contract.errors import IdempotencyConflict, OutOfCredit
from router.contract.provider import Secret
from tests.accounts.gates import APP, HOME, app, asking, balance, gated, member, spoken, whole

CHEAP = Offer("cheap", "tone-1", Price(credits_per_1k_chars=0.005))
DEAR = Offer("dear", "tone-1", Price(credits_per_1k_chars=2.0))


def part(left_s: float, whole_s: float, characters: int = 1_000) -> Delivered:
    return whole(characters, audio_s=left_s, whole_s=whole_s, is_whole=False)


async def usage(gate: KeyedGate, caller: Caller) -> list[UsageRow]:
    await balance(gate, caller)  # what was queued before is written by then
    return (await gate.accounts.usage.page(UsageQuery(account=caller.id))).rows


async def test_the_dearest_is_set_aside_and_who_spoke_is_charged(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "3")
        async with gate.admit(caller, asking(1_000, CHEAP, DEAR)) as grant:
            assert await balance(gate, caller) == "1"
            assert grant.receipt(whole(provider="cheap")).balance == "2.995"
            grant.heard(whole(provider="cheap"))
        assert await balance(gate, caller) == "2.995"


async def test_where_two_have_spoken_each_counts_by_its_share(tmp_path: Path) -> None:
    shares = (Share("dear", "tone-1", 2.5), Share("cheap", "tone-1", 7.5))
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "3")
        said = whole(provider="dear", shares=shares)
        await spoken(gate, caller, asking(1_000, CHEAP, DEAR), said)
        assert await balance(gate, caller) == "2.49625"


async def test_two_models_of_one_provider_have_their_own_prices(tmp_path: Path) -> None:
    better = Offer("cheap", "better", Price(credits_per_1k_chars=1.0))
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "2")
        await spoken(gate, caller, asking(1_000, CHEAP, better), whole(provider="cheap"))
        assert await balance(gate, caller) == "1.995"
        said = whole(provider="cheap", model="better")
        await spoken(gate, caller, asking(1_000, CHEAP, better), said)
        assert await balance(gate, caller) == "0.995"


async def test_where_nothing_was_heard_nothing_is_charged(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "1")
        async with gate.admit(caller, asking()):
            pass
        with pytest.raises(ZeroDivisionError):
            async with gate.admit(caller, asking()):
                raise ZeroDivisionError
        assert await balance(gate, caller) == "1"
        assert await usage(gate, caller) == []


@pytest.mark.parametrize(
    ("delivered", "left"),
    [
        (part(5.0, 10.0), "0.5"),
        (part(9.999, 10.0), "0.001"),
        (part(12.0, 10.0), "0"),
        (part(0.0, 10.0), "1"),
        (whole(audio_s=None, whole_s=None), "0"),
        (whole(provider="somebody-else"), "1"),
    ],
)
async def test_of_broken_speech_the_part_that_left_is_charged(
    delivered: Delivered, left: str, tmp_path: Path
) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "1")
        await spoken(gate, caller, asking(), delivered)
        assert await balance(gate, caller) == left


@pytest.mark.parametrize(
    ("price", "delivered", "cost"),
    [
        (Price(credits_per_1k_chars=0.005), whole(4_096), "0.02048"),
        (Price(credits_per_audio_s=0.01), whole(audio_s=2.5), "0.025"),
        (Price(credits_per_1k_chars=1, credits_per_1k_tokens=0.5), whole(tokens=2_000), "1"),
        (Price(credits_per_1k_chars=1, credits_per_1k_tokens=0.5), whole(100), "0.1"),
        (Price(credits_per_1k_chars=1, increment=100), whole(101), "0.2"),
        (Price(credits_per_1k_chars=1, minimum=0.5), whole(1), "0.5"),
        (Price(credits_per_1k_chars=1, cached_percent=10), whole(1_000, cached=True), "0.1"),
    ],
)
async def test_a_price_counts_what_it_says(
    price: Price, delivered: Delivered, cost: str, tmp_path: Path
) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "100")
        ask = asking(delivered.characters, Offer("voice", "tone-1", price), most_audio_s=30.0)
        await spoken(gate, caller, ask, delivered)
        (row,) = await usage(gate, caller)
        assert row.charged_nano == round(float(cost) * 1e9)


async def test_what_it_costs_is_told_as_far_as_it_is_known(tmp_path: Path) -> None:
    by_audio = Offer("voice", "tone-1", Price(credits_per_audio_s=0.01))
    by_tokens = Offer("voice", "tone-1", Price(credits_per_1k_tokens=0.01))
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "10")
        async with gate.admit(caller, asking(1_000, by_audio, most_audio_s=100.0)) as grant:
            unknown = grant.receipt(whole(audio_s=None))
            assert (unknown.cost, unknown.balance) == (None, "9")
            known = grant.receipt(whole(audio_s=20.0))
            assert (known.cost, known.balance) == ("0.2", "9.8")
        async with gate.admit(caller, asking(1_000, by_tokens, most_audio_s=100.0)) as grant:
            assert grant.receipt(whole()).cost is None
        free = await gate.identify(APP, HOME)
        async with gate.admit(free, asking()) as grant:
            assert (grant.receipt(whole()).cost, grant.receipt(whole()).balance) == ("1", None)


async def test_one_idempotency_key_is_charged_once_and_for_another_body_refused(
    store_url: Secret, tmp_path: Path
) -> None:
    accounts = {"store": store_url.reveal()}
    async with gated(tmp_path, accounts) as gate, gated(tmp_path, accounts) as elsewhere:
        caller = await member(gate, "5")
        for _ in range(3):
            await spoken(gate, caller, asking(once=("mine", b"the same")))
        assert await balance(gate, caller) == "4"
        for one in (gate, elsewhere):
            with pytest.raises(IdempotencyConflict, match="another request"):
                async with one.admit(caller, asking(once=("mine", b"another"))):
                    pass
            async with one.admit(caller, asking(once=("mine", b"the same"))) as grant:
                assert (grant.receipt(whole()).cost, grant.receipt(whole()).balance) == ("0", "4")
        assert await balance(gate, caller) == "4"


async def test_an_idempotency_key_of_two_callers_is_charged_to_both(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        callers = [await member(gate, "1"), await member(gate, "1")]
        for caller in callers:
            await spoken(gate, caller, asking(once=("mine", b"")))
        assert [await balance(gate, caller) for caller in callers] == ["0", "0"]


async def test_a_first_try_that_nobody_heard_does_not_make_the_second_free(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "1")
        async with gate.admit(caller, asking(once=("mine", b""))):
            pass
        await spoken(gate, caller, asking(once=("mine", b"")))
        assert await balance(gate, caller) == "0"


async def test_the_same_request_id_is_charged_each_time(tmp_path: Path) -> None:
    """Callers may send their own: it is a name for logs, and no way to speak for nothing."""
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "2")
        for _ in range(2):
            await spoken(gate, caller, asking(request_id="the-same"))
        assert await balance(gate, caller) == "0"


async def test_a_balance_never_goes_below_zero_however_many_race(
    store_url: Secret, tmp_path: Path
) -> None:
    async with gated(tmp_path, {"store": store_url.reveal()}) as gate:
        caller = await member(gate, "10")
        outcomes = await asyncio.gather(
            *(spoken(gate, caller, asking()) for _ in range(50)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, OutOfCredit)]
        assert outcomes.count(None) == 10
        assert len(refused) == 40
        assert await balance(gate, caller) == "0"


async def test_who_hangs_up_while_credit_is_set_aside_has_it_back(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "1")
        for turns in range(4):
            task = asyncio.create_task(spoken(gate, caller, asking(), part(0.0, 1.0)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for _ in range(100):  # a reservation that was under way is released right behind it
            if await balance(gate, caller) == "1":
                break
        assert await balance(gate, caller) == "1"


async def test_credit_of_the_config_is_given_once(tmp_path: Path) -> None:
    for left in ("1.5", "1", "0.5", "0"):
        async with gated(tmp_path, app(credits=2)) as gate:
            caller = await gate.identify(APP, HOME)
            await spoken(gate, caller, asking(500))
            assert await balance(gate, caller) == left


async def test_a_key_that_is_not_metered_is_counted_all_the_same(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await gate.identify(APP, HOME)
        await spoken(gate, caller, asking(300), part(1.0, 2.0, 300))
        await balance(gate, await member(gate, "0"))  # what was queued before is written by then
        assert await gate.accounts.ledger.balance(caller.id) is None
        rows = (await gate.accounts.usage.page(UsageQuery(account=caller.id))).rows
        assert [(row.characters, row.audio_ms, row.charged_nano) for row in rows] == [
            (150, 1000, 0)
        ]


async def test_a_text_with_nothing_to_say_needs_no_credit(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, "0")
        nothing: Any = asking(0)
        async with gate.admit(caller, nothing) as grant:
            assert grant.receipt(whole(0, provider="router")).cost == "0"
