"""The gate: who comes in, what they may have, and that a refusal takes nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from router.accounts.entrance import LimitedGate, gate_of
from router.accounts.keys import KeyRates, Terms, hash_of
from router.accounts.providers import LimitReached
from router.contract.caller import HOUSE, Caller, Gate, OpenGate
from router.contract.errors import (
    Busy,
    Forbidden,
    MissingKey,
    OutOfCredit,
    RateLimited,
    Refused,
    Unauthenticated,
)
from router.contract.provider import Secret
from router.contract.record import Event, LimitRefused
from router.settings.secret import secret_of
from tests.accounts.gates import (
    APP,
    HOME,
    app,
    asking,
    balance,
    gated,
    member,
    settings_of,
    spoken,
    whole,
)

DAY = dt.timedelta(days=1)
TODAY = dt.datetime.now(dt.UTC).date()


# ---- who it is


async def test_without_accounts_everybody_on_this_machine_may_speak(tmp_path: Path) -> None:
    async with gate_of(settings_of(tmp_path, None)) as gate:
        assert isinstance(gate, OpenGate)
        assert (await gate.identify(None, HOME)).id == "local"
    assert not (tmp_path / "data").exists(), "nothing is opened that nobody needs"


async def test_accounts_that_are_not_required_leave_the_server_open(tmp_path: Path) -> None:
    async with gate_of(settings_of(tmp_path, {**app(), "required": False})) as gate:
        assert (await gate.identify(None, HOME)).id == "local"


async def test_a_key_of_the_config_and_one_of_the_store_are_known(tmp_path: Path) -> None:
    async with gated(tmp_path, app()) as gate:
        of_config = await gate.identify(APP, HOME)
        of_store = await member(gate, name="me")

        assert (of_config.id, of_config.name) == ("config:app", "app")
        assert of_store.id.startswith("key_")
        assert of_store.name == "me"


async def test_a_key_of_the_config_may_be_given_by_its_hash(tmp_path: Path) -> None:
    hash = hash_of(secret_of(settings_of(tmp_path, None)), APP)
    async with gated(tmp_path, {"keys": {"app": {"hash": hash}}}) as gate:
        assert (await gate.identify(APP, HOME)).name == "app"


@pytest.mark.parametrize("wrong", ["sk-of-the-app-0123456780", "x", "sk-of-the-app-0123456789 "])
async def test_another_key_is_not_known(wrong: str, tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        with pytest.raises(Unauthenticated):
            await gate.identify(Secret(wrong), HOME)


async def test_no_key_is_told_apart_from_a_wrong_one(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        with pytest.raises(MissingKey, match="Authorization: Bearer"):
            await gate.identify(None, HOME)


async def test_a_key_is_good_until_its_day_comes(tmp_path: Path) -> None:
    async with gated(tmp_path, app(expires=(TODAY + DAY).isoformat())) as gate:
        await gate.identify(APP, HOME)
    async with gated(tmp_path, app(expires=TODAY.isoformat())) as gate:
        with pytest.raises(Unauthenticated):
            await gate.identify(APP, HOME)


async def test_a_key_that_is_disabled_or_rotated_is_no_longer_good(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        keys = gate.accounts.keys
        made = await keys.create(Terms())
        await gate.identify(made.credential, HOME)
        renewed = await keys.rotate(made.key.id)
        with pytest.raises(Unauthenticated):
            await gate.identify(made.credential, HOME)
        assert (await gate.identify(renewed.credential, HOME)).id == made.key.id
        await keys.disable(made.key.id)
        with pytest.raises(Unauthenticated):
            await gate.identify(renewed.credential, HOME)


async def test_failed_tries_have_a_limit_by_address_that_good_keys_do_not_feel(
    tmp_path: Path,
) -> None:
    limits = {"limits": {"failing": {"requests_per_minute": 3}}}
    async with gated(tmp_path, limits) as gate:
        for credential in (None, Secret("wrong"), Secret("wrong, too")):
            with pytest.raises(Unauthenticated):
                await gate.identify(credential, HOME)
        with pytest.raises(RateLimited) as refused:
            await gate.identify(Secret("wrong again"), HOME)
        assert refused.value.retry_after == pytest.approx(20, abs=1)
        with pytest.raises(Unauthenticated):
            await gate.identify(Secret("wrong"), "192.0.2.2")
        await gate.identify(APP, HOME)


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1:5000", "192.0.2.1:5001", True),
        ("192.0.2.1:5000", "192.0.2.2:5000", False),
        ("[2001:db8:1:2::1]:5000", "2001:db8:1:2::2", True),
        ("[2001:db8:1:2::1]", "[2001:db8:1:3::1]", False),
        ("not an address", "'; neither", True),
    ],
)
async def test_an_address_is_what_its_holder_cannot_choose(
    one: str, other: str, are_one: bool, tmp_path: Path
) -> None:
    limits = {"limits": {"looking": {"requests_per_minute": 1}}}
    async with gated(tmp_path, limits) as gate:
        await gate.visit(one)
        if are_one:
            with pytest.raises(RateLimited):
                await gate.visit(other)
        else:
            await gate.visit(other)


async def test_looking_without_a_key_has_a_limit_by_address(tmp_path: Path) -> None:
    limits = {"limits": {"looking": {"requests_per_minute": 60, "requests_burst": 2}}}
    async with gated(tmp_path, limits) as gate:
        await gate.visit(HOME)
        await gate.visit(HOME)
        with pytest.raises(RateLimited):
            await gate.visit(HOME)
        await gate.visit("192.0.2.2")


async def test_only_the_admin_key_makes_an_admin(tmp_path: Path) -> None:
    admin = Secret("the-admins-own-key")
    async with gated(tmp_path, {"admin_key": admin.reveal()}) as gate:
        await gate.check_admin(admin, HOME)
        for wrong in (APP, Secret("the-admins-own-kez"), Secret("the-admins-own-key2")):
            with pytest.raises(Unauthenticated):
                await gate.check_admin(wrong, HOME)
        with pytest.raises(MissingKey):
            await gate.check_admin(None, HOME)


async def test_where_no_admin_key_is_set_nobody_is_an_admin(tmp_path: Path) -> None:
    for accounts in ({}, {"admin_key": ""}):
        async with gated(tmp_path, accounts) as gate:
            for credential in (None, APP, Secret("")):
                with pytest.raises(Forbidden):
                    await gate.check_admin(credential, HOME)


# ---- limits


@pytest.mark.parametrize(
    ("table", "unaffected"),
    [
        ("key", {"caller": "other"}),
        ("address", {"address": "192.0.2.9"}),
        ("model", {"model": "that"}),
    ],
)
async def test_each_limit_counts_for_what_it_is_of(
    table: str, unaffected: dict[str, str], tmp_path: Path
) -> None:
    limits = {"limits": {table: {"requests_per_minute": 2}}}
    async with gated(tmp_path, limits) as gate:
        caller = await gate.identify(APP, HOME)
        await spoken(gate, caller, asking())
        await spoken(gate, caller, asking())
        with pytest.raises(RateLimited):
            await spoken(gate, caller, asking())

        if "caller" in unaffected:
            caller = await member(gate)
        elif "address" in unaffected:
            caller = await gate.identify(APP, unaffected["address"])
        await spoken(gate, caller, asking(model=unaffected.get("model", "it")))


async def test_a_limit_of_all_counts_for_everybody(tmp_path: Path) -> None:
    async with gated(tmp_path, {"limits": {"total": {"requests_per_minute": 1}}}) as gate:
        await spoken(gate, await gate.identify(APP, HOME), asking())
        with pytest.raises(RateLimited, match="this server"):
            await spoken(gate, await member(gate, address="192.0.2.9"), asking(model="that"))


async def test_a_key_of_its_own_terms_is_held_to_them(tmp_path: Path) -> None:
    limits = {"limits": {"key": {"requests_per_minute": 1, "requests_burst": 5}}}
    async with gated(tmp_path, {**app(limits={"requests_per_minute": 3}), **limits}) as gate:
        one, other = await gate.identify(APP, HOME), await member(gate)
        own = await member(gate, rates=KeyRates(requests_per_minute=2))
        assert [await _passes(gate, caller) for caller in (one, other, own)] == [3, 5, 2]


async def test_a_model_may_have_limits_of_its_own(tmp_path: Path) -> None:
    route = [{"provider": "voice"}]
    models = {
        "it": {"routes": route, "limits": {"requests_per_minute": 2}},
        "that": {"routes": route},
    }
    limits = {"limits": {"model": {"requests_per_minute": 4}}}
    async with gated(tmp_path, limits, models=models) as gate:
        caller = await gate.identify(APP, HOME)
        assert await _passes(gate, caller, "it") == 2
        assert await _passes(gate, caller, "that") == 4


async def test_a_refused_request_takes_nothing_of_any_limit(tmp_path: Path) -> None:
    limits = {
        "limits": {
            "key": {"requests_per_minute": 10, "characters_per_day": 5_000, "concurrent": 10},
            "total": {"characters_per_minute": 1_000},
        }
    }
    async with gated(tmp_path, limits) as gate:
        caller = await gate.identify(APP, HOME)
        for _ in range(20):
            with pytest.raises(RateLimited):
                await spoken(gate, caller, asking(1_001))

        async with gate.admit(caller, asking(1)) as grant:
            assert grant.standings.requests is not None
            assert (grant.standings.requests.limit, grant.standings.requests.remaining) == (10, 9)
            assert grant.standings.characters is not None
            assert grant.standings.characters.remaining == 4_999


async def test_who_is_out_of_credit_has_taken_nothing_of_any_limit(tmp_path: Path) -> None:
    limits = {"limits": {"key": {"requests_per_minute": 3, "credits_per_day": 2}}}
    async with gated(tmp_path, limits) as gate:
        caller = await member(gate, "1")
        for _ in range(5):
            with pytest.raises(OutOfCredit, match=r"up to 1\.5 credits; 1 are left"):
                await spoken(gate, caller, asking(1_500))
        await spoken(gate, caller, asking(1_000))
        assert await balance(gate, caller) == "0"


async def test_speeches_at_once_are_given_back_however_they_end(tmp_path: Path) -> None:
    async with gated(tmp_path, {"limits": {"key": {"concurrent": 1}}}) as gate:
        caller = await gate.identify(APP, HOME)
        for _ in range(3):
            async with gate.admit(caller, asking()):
                with pytest.raises(RateLimited, match="at once") as refused:
                    await spoken(gate, caller, asking())
                assert refused.value.retry_after == 1
            with pytest.raises(ZeroDivisionError):
                async with gate.admit(caller, asking()):
                    raise ZeroDivisionError
        task = asyncio.create_task(_held(gate, caller))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await spoken(gate, caller, asking())


async def test_a_days_cap_says_that_trying_again_is_useless(tmp_path: Path) -> None:
    for measure, code in (
        ("requests_per_day", "daily_rpd_limit_exceeded"),
        ("characters_per_day", "daily_characters_limit_exceeded"),
        ("credits_per_day", "daily_usd_limit_exceeded"),
    ):
        async with gated(tmp_path / measure, {"limits": {"key": {measure: 1}}}) as gate:
            caller = await gate.identify(APP, HOME)
            with pytest.raises(RateLimited) as refused:
                await _all_spoken(gate, [caller, caller])
            error = refused.value
            assert error.code == code
            assert error.is_useless
            midnight = dt.datetime.combine(_today() + DAY, dt.time(), dt.UTC)
            left_s = (midnight - dt.datetime.now(dt.UTC)).total_seconds()
            assert error.retry_after is None or error.retry_after == pytest.approx(left_s, abs=60)


async def test_a_text_above_the_burst_is_told_that_it_never_passes(tmp_path: Path) -> None:
    limits = {"limits": {"key": {"characters_per_minute": 600, "characters_burst": 100}}}
    async with gated(tmp_path, limits) as gate:
        caller = await gate.identify(APP, HOME)
        with pytest.raises(RateLimited, match="at most 100 characters at once") as refused:
            await spoken(gate, caller, asking(101))
        assert refused.value.is_useless
        await spoken(gate, caller, asking(100))


async def test_every_refusal_by_a_limit_is_published(tmp_path: Path) -> None:
    limits = {
        "key": {"concurrent": 1},
        "looking": {"requests_per_minute": 1},
        "failing": {"requests_per_minute": 1},
    }
    heard: list[Event] = []
    async with gated(tmp_path, {"limits": limits}, heard.append) as gate:
        caller = await gate.identify(APP, HOME)
        async with gate.admit(caller, asking()):
            for _ in range(2):
                with pytest.raises(RateLimited):
                    await spoken(gate, caller, asking())
                with suppress(RateLimited):
                    await gate.visit(HOME)
                with suppress(RateLimited, MissingKey):
                    await gate.identify(None, HOME)
    speech = LimitRefused("key", "speeches", "speech")
    looking = LimitRefused("address", "requests", "looking")
    assert heard == [speech, speech, looking, LimitRefused("address", "requests", "failing")]


async def test_how_others_fare_is_not_told(tmp_path: Path) -> None:
    limits = {
        "limits": {
            "key": {"requests_per_minute": 100},
            "total": {"requests_per_minute": 2},
        }
    }
    async with gated(tmp_path, limits) as gate:
        caller = await gate.identify(APP, HOME)
        async with gate.admit(caller, asking()) as grant:
            requests = grant.standings.requests
            assert requests is not None
            assert (requests.limit, requests.remaining) == (100, 99)
            assert requests.reset_s == pytest.approx(0.6, abs=0.1)
            assert grant.standings.characters is None


async def test_of_a_days_share_only_what_was_heard_is_used(tmp_path: Path) -> None:
    limits = {"limits": {"key": {"characters_per_day": 1_000, "credits_per_day": 1}}}
    async with gated(tmp_path, limits) as gate:
        caller = await gate.identify(APP, HOME)
        for _ in range(5):
            async with gate.admit(caller, asking(1_000)):
                pass  # nobody spoke
        for _ in range(2):
            part = whole(500, audio_s=5.0, whole_s=10.0, is_whole=False)
            await spoken(gate, caller, asking(500), part)
        with pytest.raises(RateLimited):
            await spoken(gate, caller, asking(1))


async def test_the_house_itself_speaks_without_limit(tmp_path: Path) -> None:
    async with gated(tmp_path, {"limits": {"total": {"requests_per_minute": 1}}}) as gate:
        for _ in range(3):
            await spoken(gate, HOUSE, asking())


# ---- a provider's own limits


async def test_a_providers_limit_is_busy_and_marks_nothing(tmp_path: Path) -> None:
    providers = {
        "voice": {
            "kind": "voice",
            "limits": {"requests_per_minute": 2, "characters_per_minute": 1_000},
        }
    }
    async with gated(tmp_path, {}, providers=providers) as gate:
        with pytest.raises(Refused, match="longer than its limit"):
            await gate.attempt("voice", asking(1_001))
        await gate.attempt("voice", asking(500))
        await gate.attempt("voice", asking(500))
        with pytest.raises(LimitReached) as refused:
            await gate.attempt("voice", asking(0))
        assert isinstance(refused.value, Busy)
        assert not refused.value.marks
        assert refused.value.retry_after == pytest.approx(30, abs=1)
        await gate.attempt("nobody-has-limited", asking())


async def test_a_providers_turn_is_given_back_when_it_is_done(tmp_path: Path) -> None:
    providers = {"voice": {"kind": "voice", "limits": {"concurrent": 1}}}
    async with gated(tmp_path, {}, providers=providers) as gate:
        for _ in range(3):
            turn = await gate.attempt("voice", asking())
            with pytest.raises(LimitReached):
                await gate.attempt("voice", asking())
            turn.done()
            turn.done()
            await asyncio.sleep(0)


async def test_a_providers_limits_hold_without_keys_too(tmp_path: Path) -> None:
    providers = {"voice": {"kind": "voice", "limits": {"requests_per_minute": 1}}}
    async with gate_of(settings_of(tmp_path, None, providers=providers)) as gate:
        assert isinstance(gate, LimitedGate)
        await gate.attempt("voice", asking())
        with pytest.raises(LimitReached):
            await gate.attempt("voice", asking())
        assert (await gate.identify(None, HOME)).id == "local"


# ---- what is said of a caller


async def test_a_caller_tells_nothing_of_a_key(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await gate.identify(APP, HOME)
        assert repr(caller) == "Caller('config:app', 'app')"
        assert HOME not in repr(caller)


async def test_what_a_key_may_use_goes_with_the_caller(tmp_path: Path) -> None:
    async with gated(tmp_path, {}) as gate:
        caller = await member(gate, models=("Moss-TTS-nano",), providers=("voice",))
        assert caller.may_ask_for(" moss-tts-NANO")
        assert not caller.may_ask_for("it")
        assert caller.providers == frozenset({"voice"})


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


async def _passes(gate: Gate, caller: Caller, model: str = "it") -> int:
    """Requests that pass until one does not."""
    passed = 0
    while passed < 50:
        try:
            await spoken(gate, caller, asking(model=model))
        except RateLimited:
            break
        passed += 1
    return passed


async def _all_spoken(gate: Gate, callers: Sequence[Caller]) -> None:
    for caller in callers:
        await spoken(gate, caller, asking(1_001))


async def _held(gate: Gate, caller: Caller) -> None:
    async with gate.admit(caller, asking()):
        await asyncio.Event().wait()
