"""A key is shown once, found by its hash, and gone everywhere within seconds of being disabled."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
import sqlalchemy as sa

from router.accounts import keys as keys_module
from router.accounts.errors import KeyOfConfig, UnknownKey
from router.accounts.keys import FixedKey, Key, KeyRates, Terms, hash_of
from router.accounts.opening import opened
from router.contract.provider import Secret
from router.store.errors import StoreUnusable
from tests.store.test_databases import both

SECRET = Secret("the secret of this installation")
TERMS = Terms(
    name="Anna's phone 📱",
    models=("tts-1", "nano"),
    providers=("espeak",),
    rates=KeyRates(requests_per_minute=5, credits_per_day_nano=10**9),
    expires_ms=4_102_444_800_000,
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_a_new_key_is_found_with_its_terms(store_url: Secret) -> None:
    async with opened(store_url, SECRET) as accounts:
        new = await accounts.keys.create(TERMS)
        letters = new.credential.reveal()
        found = await accounts.keys.find(new.credential)
    assert found == new.key
    assert found.terms == TERMS
    assert (found.prefix, found.last4) == (letters[:11], letters[-4:])
    assert letters.startswith("sk-tts-")
    assert len(letters) == 47
    assert not found.metered


async def test_what_is_stored_does_not_hold_the_key(store_url: Secret) -> None:
    async with opened(store_url, SECRET) as accounts, both(store_url) as (_, read):
        new = await accounts.keys.create(TERMS)
        rows = await read.run(lambda found: list(found.execute(sa.text("SELECT * FROM keys"))))
    shown = repr(rows) + repr(new)
    letters = new.credential.reveal()
    assert letters not in shown
    assert letters[7:27] not in shown
    assert hash_of(SECRET, new.credential) in repr(rows)


@pytest.mark.parametrize("wrong", ["", "sk-tts-", "x" * 47, "' OR 1=1 --", "\x00", "sk-tts-ü"])
async def test_what_is_no_key_is_not_found(store_url: Secret, wrong: str) -> None:
    async with opened(store_url, SECRET) as accounts:
        new = await accounts.keys.create(Terms())
        assert await accounts.keys.find(Secret(wrong)) is None
        assert await accounts.keys.find(Secret(new.credential.reveal() + " ")) is None
        assert await accounts.keys.find(Secret(new.credential.reveal()[:-1])) is None


async def test_a_key_that_another_process_disables_stops_within_seconds(
    store_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "KEPT_S", 0.3)
    async with opened(store_url, SECRET) as here, opened(store_url, SECRET) as there:
        new = await here.keys.create(Terms())
        assert await here.keys.find(new.credential)
        disabled = await there.keys.disable(new.key.id)
        assert disabled.disabled_ms == pytest.approx(now_ms(), abs=10_000)
        assert await there.keys.find(new.credential) is None
        await asyncio.sleep(0.3)
        assert await here.keys.find(new.credential) is None
        await there.keys.enable(new.key.id)
        await asyncio.sleep(0.3)
        assert await here.keys.find(new.credential) == new.key


async def test_a_key_is_looked_up_once_for_all_who_come_at_the_same_time(
    store_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(store_url, SECRET) as accounts:
        new = await accounts.keys.create(Terms())
        asked: list[str] = []
        lookup = accounts.keys._stored
        by_hash = lookup._ask

        async def counted(hash: str) -> Key | None:
            asked.append(hash)
            return await by_hash(hash)

        monkeypatch.setattr(lookup, "_ask", counted)
        found = await asyncio.gather(*(accounts.keys.find(new.credential) for _ in range(50)))
        assert found == [new.key] * 50
        assert await accounts.keys.find(new.credential) == new.key
        assert len(asked) == 1


async def test_a_rotated_key_keeps_its_account_and_its_old_words_are_dead(
    store_url: Secret,
) -> None:
    async with opened(store_url, SECRET) as accounts:
        old = await accounts.keys.create(TERMS, credit_nano=500)
        assert await accounts.keys.find(old.credential)
        new = await accounts.keys.rotate(old.key.id)
        assert await accounts.keys.find(old.credential) is None
        found = await accounts.keys.find(new.credential)
        assert found == new.key
        assert new.key.id == old.key.id
        assert new.key.terms == TERMS
        assert new.key.balance_nano == 500
        assert new.key.last4 == new.credential.reveal()[-4:]


async def test_an_expired_key_is_not_found_even_while_it_is_kept(store_url: Secret) -> None:
    async with opened(store_url, SECRET) as accounts:
        new = await accounts.keys.create(Terms(expires_ms=now_ms() + 2_000))
        assert await accounts.keys.find(new.credential)
        await asyncio.sleep(2)
        assert await accounts.keys.find(new.credential) is None
        assert (await accounts.keys.get(new.key.id)).terms.expires_ms is not None


async def test_keys_are_listed_in_pages_in_the_order_of_their_making(store_url: Secret) -> None:
    async with opened(store_url, SECRET) as accounts:
        made = {(await accounts.keys.create(Terms(name=str(n)))).key.id for n in range(5)}
        first = await accounts.keys.page(limit=3)
        rest = await accounts.keys.page(after=first[-1].id, limit=3)
        assert [key.id for key in (*first, *rest)] == sorted(made)
        assert await accounts.keys.page(after=rest[-1].id) == []


async def test_who_is_not_there_cannot_be_changed(store_url: Secret) -> None:
    async with opened(store_url, SECRET) as accounts:
        for change in (accounts.keys.get, accounts.keys.disable, accounts.keys.rotate):
            with pytest.raises(UnknownKey, match="nobody"):
                await change("nobody")
        with pytest.raises(UnknownKey):
            await accounts.keys.get("a\0b")


async def test_a_key_of_the_config_is_found_listed_and_paid_once(store_url: Secret) -> None:
    credential = Secret("a key that somebody chose")
    key = Key(
        id="config:ci",
        prefix="",
        last4="",
        terms=Terms(name="ci"),
        created_ms=0,
        metered=True,
        source="config",
    )
    fixed = FixedKey(key=key, hash=hash_of(SECRET, credential), credit_nano=700)
    for _ in range(2):  # it starts twice, and is given its credit once
        async with opened(store_url, SECRET, fixed=[fixed]) as accounts:
            assert await accounts.keys.find(credential) == key
            assert await accounts.keys.page() == [msgspec.structs.replace(key, balance_nano=700)]
            assert await accounts.ledger.balance("config:ci") == 700
            with pytest.raises(KeyOfConfig):
                await accounts.keys.disable("config:ci")


async def test_a_store_of_another_secret_is_not_opened(store_url: Secret) -> None:
    async with opened(store_url, SECRET):
        pass
    with pytest.raises(StoreUnusable, match=r"server\.secret"):
        async with opened(store_url, Secret("another")):
            pass


@pytest.mark.parametrize("credit", [-1, 10**18 + 1])
async def test_a_key_begins_with_no_wrong_amount(store_url: Secret, credit: int) -> None:
    async with opened(store_url, SECRET) as accounts:
        with pytest.raises(ValueError, match="credits"):
            await accounts.keys.create(Terms(), credit_nano=credit)
        assert await accounts.keys.page() == []


async def test_terms_have_a_longest(store_url: Secret) -> None:
    async with opened(store_url, SECRET) as accounts:
        with pytest.raises(ValueError, match="65536 bytes"):
            await accounts.keys.create(Terms(name="x" * 70_000))
