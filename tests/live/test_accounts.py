"""Keys, limits and credit on the wire: what each shape is told, and what is paid in the end."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from router.audio.pace import expected
from router.contract.audio import AudioFormat, AudioStream
from router.contract.errors import Broken
from router.contract.speech import SpeechOrder
from router.testing.scripted import Hang, Raise, Script, Scripted, Tone, Until
from tests.support.inside import Inside, serving_inside
from tests.support.scripts import SPEECH, TEXT, asking, models
from tests.support.wire import Answer, connected, exchange

KEY = "sk-of-a-caller-0123456789"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}
NEWER, NANO = "/api/v1/audio/speech", "/v1/speech"
CREDIT = 1.0
PRICE = {"credits_per_1k_chars": 1.0}
COST = len(TEXT) / 1000
AT_REST = 4
"""Times that a balance is told alike, 50 ms apart, before it is believed."""


def config(
    route: tuple[str, ...] = ("voice",),
    entry: Mapping[str, Any] | None = None,
    **accounts: Any,
) -> dict[str, Any]:
    """One key with a credit of its own, and a model at a credit for a thousand characters."""
    given = models({"it": route, "that": route})
    for model in given.values():
        model["price"] = PRICE
    key = {"key": KEY, "credits": CREDIT, **(entry or {})}
    return {"models": given, "accounts": {"keys": {"caller": key}, **accounts}}


async def ask(
    inside: Inside, path: str = SPEECH, *, headers: Mapping[str, str] = WITH_KEY, **fields: Any
) -> Answer:
    return await exchange(inside.url, path, asking(**fields), headers=headers)


async def balance(inside: Inside) -> float:
    """What the caller has left, once it stays so: what is set aside comes back with the
    settlement, which is written a moment after the answer."""
    told: list[Any] = []
    while len(told) < AT_REST or told[-AT_REST:] != told[-1:] * AT_REST:
        await asyncio.sleep(0.05)
        told.append((await exchange(inside.url, "/v1/credits", headers=WITH_KEY)).json)
    return float(told[-1]["balance"])


async def _returned(inside: Inside, times: int) -> None:
    await inside.until(lambda i: len(i.held_at_return) >= times)


# ---- keys


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"Authorization": f"BEARER   {KEY}  "},
        {"X-API-Key": KEY},
        {"x-api-key": f"  {KEY} "},
        {"Authorization": "Bearer ", "X-API-Key": KEY},
        {"Authorization": "Basic abc", "X-API-Key": KEY},
    ],
)
async def test_a_key_is_found_however_it_is_sent(headers: dict[str, str], tmp_path: Path) -> None:
    async with serving_inside(config(), tmp_path, voice=Scripted()) as inside:
        assert (await ask(inside, headers=headers)).status == 200
        assert inside.records[-1].caller == "config:caller"


MISSING: tuple[dict[str, str], ...] = ({}, {"Authorization": "Bearer "}, {"X-API-Key": "  "})
WRONG: tuple[dict[str, str], ...] = ({"Authorization": "Bearer sk-another"}, {"X-API-Key": "x"})


@pytest.mark.parametrize(
    ("path", "type_", "missing", "wrong"),
    [
        (SPEECH, "invalid_request_error", None, "invalid_api_key"),
        (NEWER, "authentication_error", "missing_api_key", "invalid_api_key"),
        (NANO, "authentication_error", "missing_api_key", "invalid_api_key"),
    ],
)
async def test_without_a_good_key_each_shape_says_so_in_its_own_words(
    path: str, type_: str, missing: str | None, wrong: str, tmp_path: Path
) -> None:
    voice = Scripted()
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        for every, code in ((MISSING, missing), (WRONG, wrong)):
            for headers in every:
                told = await ask(inside, path, headers=headers)
                assert (told.status, told.error["type"], told.error["code"]) == (401, type_, code)
                assert told.headers["www-authenticate"] == "Bearer"
        records = inside.records
        assert [(r.status, r.reason, r.outcome) for r in records] == [
            (401, "unauthenticated", "refused")
        ] * 5
        assert not voice.orders


async def test_a_form_without_a_key_is_told_in_leaperones_words(tmp_path: Path) -> None:
    async with serving_inside(config(), tmp_path, voice=Scripted()) as inside:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        told = await exchange(inside.url, SPEECH, b"--x--", headers=headers)
        assert (told.status, told.error["type"]) == (401, "authentication_error")
        assert inside.records[-1].shape == "leaper"


async def test_a_model_that_is_not_the_keys_is_forbidden_whether_it_exists_or_not(
    tmp_path: Path,
) -> None:
    voice = Scripted()
    async with serving_inside(config(entry={"models": ["it"]}), tmp_path, voice=voice) as inside:
        assert (await ask(inside, model="It ")).status == 200
        for model in ("that", "nobody"):
            told = await ask(inside, model=model)
            assert (told.status, told.error["type"]) == (403, "permission_denied_error")
            assert told.error["param"] == "model"
            assert "It may use: it." in told.error["message"]
        assert len(voice.orders) == 1
        assert await balance(inside) == pytest.approx(CREDIT - COST)


async def test_a_provider_that_is_not_the_keys_is_passed_over(tmp_path: Path) -> None:
    own = config(("dear", "voice"), entry={"providers": ["voice"]})
    dear, voice = Scripted(), Scripted()
    async with serving_inside(own, tmp_path, dear=dear, voice=voice) as inside:
        told = await ask(inside)
        assert told.headers["x-tts-provider"] == "voice"
        assert told.headers["x-tts-fallback"] == "dear=forbidden"
        assert not dear.orders


async def test_where_no_provider_is_the_keys_it_is_forbidden(tmp_path: Path) -> None:
    own = config(("dear",), entry={"providers": ["voice"]})
    async with serving_inside(own, tmp_path, dear=Scripted(), voice=Scripted()) as inside:
        assert (await ask(inside)).status == 403


# ---- limits


async def test_each_shape_is_told_how_it_stands(tmp_path: Path) -> None:
    limits = {"key": {"requests_per_minute": 10, "characters_per_minute": 1_000}}
    own = config(limits=limits)
    own["models"]["leap"] = {"same_as": "it", "family": "leaper"}
    async with serving_inside(own, tmp_path, voice=Scripted()) as inside:
        openai = (await ask(inside)).headers
        assert openai["x-ratelimit-limit-requests"] == "10"
        assert openai["x-ratelimit-remaining-requests"] == "9"
        assert openai["x-ratelimit-reset-requests"] == "6s"
        assert openai["x-ratelimit-limit-tokens"] == "1000"
        assert openai["x-ratelimit-remaining-tokens"] == str(1_000 - len(TEXT))

        leaper = (await ask(inside, model="leap")).headers
        assert leaper["x-ratelimit-limit"] == "10"
        assert leaper["x-ratelimit-remaining"] == "8"
        assert abs(int(leaper["x-ratelimit-reset"]) - time.time() - 12) <= 3
        assert "x-ratelimit-limit-requests" not in leaper


async def test_where_characters_alone_are_limited_leaperones_headers_tell_of_them(
    tmp_path: Path,
) -> None:
    own = config(limits={"key": {"characters_per_minute": 60}})
    own["models"]["leap"] = {"same_as": "it", "family": "leaper"}
    async with serving_inside(own, tmp_path, voice=Scripted()) as inside:
        for status in (200, 429):
            told = await ask(inside, model="leap")
            assert told.status == status
            assert told.headers["x-ratelimit-limit"] == "60"
            assert int(told.headers["x-ratelimit-remaining"]) in range(15, 25)
            assert abs(int(told.headers["x-ratelimit-reset"]) - time.time() - len(TEXT)) <= 5


@pytest.mark.parametrize(
    ("path", "model", "type_", "header"),
    [
        (SPEECH, "it", "rate_limit_error", "x-ratelimit-reset-requests"),
        (SPEECH, "leap", "rate_limit_error", "x-ratelimit-reset"),
        (NEWER, "it", "rate_limit_error", "x-ratelimit-reset-requests"),
        (NANO, "it", "rate_limit_exceeded", "x-ratelimit-reset"),
    ],
)
async def test_too_fast_is_a_429_with_the_time_to_wait(
    path: str, model: str, type_: str, header: str, tmp_path: Path
) -> None:
    own = config(limits={"key": {"requests_per_minute": 30, "requests_burst": 1}})
    own["models"]["leap"] = {"same_as": "it", "family": "leaper"}
    voice = Scripted()
    async with serving_inside(own, tmp_path, voice=voice) as inside:
        assert (await ask(inside, path, model=model)).status == 200
        told = await ask(inside, path, model=model)

        assert told.status == 429
        assert (told.error["type"], told.error["code"]) == (type_, "rate_limit_exceeded")
        assert told.headers["retry-after"] == "2"
        assert "x-should-retry" not in told.headers
        assert header in told.headers
        assert [r.status for r in inside.records] == [200, 429]
        assert inside.records[-1].reason == "rate_limited"
        assert len(voice.orders) == 1
        assert await balance(inside) == pytest.approx(CREDIT - COST)


async def test_a_days_cap_is_told_to_midnight_and_not_to_be_tried_again(tmp_path: Path) -> None:
    own = config(limits={"key": {"requests_per_day": 1}})
    async with serving_inside(own, tmp_path, voice=Scripted()) as inside:
        await ask(inside)
        told = await ask(inside)
        now = dt.datetime.now(dt.UTC)
        midnight = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
        assert told.status == 429
        assert told.error["code"] == "daily_rpd_limit_exceeded"
        assert told.headers["x-should-retry"] == "false"
        assert abs(int(told.headers["retry-after"]) - (midnight - now).total_seconds()) < 5


async def test_speeches_at_once_are_given_back_when_a_caller_hangs_up(tmp_path: Path) -> None:
    own = config(limits={"key": {"concurrent": 1}})
    voice = Scripted(Script((Tone(0.1), Hang())))
    async with serving_inside(own, tmp_path, voice=voice) as inside:
        for _ in range(3):
            async with connected(inside.url) as line:
                await line.ask(SPEECH, asking(), headers=WITH_KEY)
                assert (await line.head()).status == 200
                told = await ask(inside)
                assert (told.status, told.headers["retry-after"]) == (429, "1")
            before = len(inside.held_at_return)
            await _returned(inside, before + 1)


async def test_a_provider_at_its_limit_is_not_asked_and_the_next_is(tmp_path: Path) -> None:
    own = config(("first", "second"))
    limits = {"requests_per_minute": 1}
    own["providers"] = {name: {"kind": name, "limits": limits} for name in ("first", "second")}
    own["timeouts"] = {"deadline_s": 5}  # it is no use to wait for the minute to pass
    first, second = Scripted(), Scripted()
    async with serving_inside(own, tmp_path, first=first, second=second) as inside:
        assert (await ask(inside)).headers["x-tts-provider"] == "first"
        told = await ask(inside)
        assert told.headers["x-tts-provider"] == "second"
        assert told.headers["x-tts-fallback"] == "first=busy"
        full = await ask(inside)
        assert full.status == 503
        assert 50 < int(full.headers["retry-after"]) <= 60
        assert (len(first.orders), len(second.orders)) == (1, 1)
        assert await balance(inside) == pytest.approx(CREDIT - 2 * COST)


async def test_what_needs_no_key_has_a_limit_of_its_own(tmp_path: Path) -> None:
    own = config(limits={"looking": {"requests_per_minute": 2, "requests_burst": 3}})
    own["server"] = {"trusted_proxies": ["127.0.0.1"]}
    async with serving_inside(own, tmp_path, voice=Scripted()) as inside:
        for path in ("/v1/models", "/v1/voices", "/health/live"):
            assert (await exchange(inside.url, path)).status == 200
        for path in ("/v1/models", "/v1/voices", "/health/ready", "/v1/models/it"):
            told = await exchange(inside.url, path)
            assert (told.status, told.error["type"]) == (429, "rate_limit_error")
            assert 1 <= int(told.headers["retry-after"]) <= 30
        explained = await exchange(inside.url, "/v1/route/explain", asking())
        assert explained.status == 429
        elsewhere = {"X-Forwarded-For": "192.0.2.7"}
        assert (await exchange(inside.url, "/v1/models", headers=elsewhere)).status == 200
        assert (await ask(inside)).status == 200


@pytest.mark.parametrize(
    "hop", ["10.0.0.1", "10.0.0.1:4711", "::1", "[::1]:80", "[::1]", "127.0.0.1:1, 10.0.0.1:2"]
)
async def test_behind_a_proxy_that_is_trusted_the_caller_is_who_it_names(
    hop: str, tmp_path: Path
) -> None:
    own = config(limits={"looking": {"requests_per_minute": 1}})
    own["server"] = {"trusted_proxies": ["127.0.0.1", "10.0.0.0/8", "::1"]}
    async with serving_inside(own, tmp_path, voice=Scripted()) as inside:
        for caller in ("192.0.2.7", "192.0.2.8:5000", "unknown", "192.0.2.9"):
            chain = {"X-Forwarded-For": f"10.9.9.9, {caller}, {hop}"}
            assert (await exchange(inside.url, "/v1/models", headers=chain)).status == 200
        again = {"X-Forwarded-For": f"192.0.2.8, {hop}"}
        assert (await exchange(inside.url, "/v1/models", headers=again)).status == 429


# ---- credit


async def test_an_answer_says_what_it_cost_and_what_is_left(tmp_path: Path) -> None:
    async with serving_inside(config(), tmp_path, voice=Scripted()) as inside:
        told = await ask(inside)
        assert float(told.headers["x-cost"]) == pytest.approx(COST)
        assert float(told.headers["x-remaining-balance"]) == pytest.approx(CREDIT - COST)
        assert await balance(inside) == pytest.approx(CREDIT - COST)
        usage = (await exchange(inside.url, "/v1/usage", headers=WITH_KEY)).json["data"]
        assert [(row["model"], row["provider"], row["characters"]) for row in usage] == [
            ("it", "voice", len(TEXT))
        ]


@pytest.mark.parametrize(
    ("path", "model", "status", "type_", "code"),
    [
        (SPEECH, "leap", 402, "insufficient_credits", "insufficient_credits"),
        (NANO, "it", 402, "insufficient_quota", "insufficient_quota"),
        (NEWER, "it", 402, "insufficient_quota", "insufficient_quota"),
        (SPEECH, "it", 429, "insufficient_quota", "insufficient_quota"),
    ],
)
async def test_without_credit_each_shape_says_so_in_its_own_words(
    path: str, model: str, status: int, type_: str, code: str, tmp_path: Path
) -> None:
    own = config(entry={"credits": 0.001})
    own["models"]["leap"] = {"same_as": "it", "family": "leaper"}
    voice = Scripted()
    async with serving_inside(own, tmp_path, voice=voice) as inside:
        told = await ask(inside, path, model=model)
        assert (told.status, told.error["type"], told.error["code"]) == (status, type_, code)
        assert told.headers["x-should-retry"] == "false"
        assert ("retry-after" in told.headers) == (status == 429)
        assert not voice.orders
        assert [(r.status, r.reason) for r in inside.records] == [(status, "out_of_credit")]


async def test_who_fails_before_the_one_who_speaks_costs_nothing(tmp_path: Path) -> None:
    own = config(("dear", "voice"))
    own["models"]["it"]["routes"][0]["price"] = {"credits_per_1k_chars": 5.0}
    dear = Scripted(Script(entering=(Raise(Broken("no")),)))
    async with serving_inside(own, tmp_path, dear=dear, voice=Scripted()) as inside:
        told = await ask(inside)
        assert told.headers["x-tts-provider"] == "voice"
        assert float(told.headers["x-cost"]) == pytest.approx(COST)
        assert await balance(inside) == pytest.approx(CREDIT - COST)


async def test_where_nobody_spoke_nothing_is_charged(tmp_path: Path) -> None:
    voice = Scripted(Script(entering=(Raise(Broken("no")),)))
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        assert (await ask(inside)).status == 502
        assert (await ask(inside, input="…")).status == 200
        assert await balance(inside) == CREDIT


async def test_who_hangs_up_before_the_first_sound_pays_nothing(tmp_path: Path) -> None:
    voice = Scripted(Script((Hang(),)))
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        async with connected(inside.url) as line:
            await line.ask(SPEECH, asking(), headers=WITH_KEY)
            await voice.until(lambda v: v.accepted == 1)
        await inside.until(lambda i: bool(i.held_at_return))
        assert await balance(inside) == CREDIT


async def test_who_hangs_up_pays_what_was_delivered_as_a_fast_reader_reckons(
    tmp_path: Path,
) -> None:
    voice = Scripted(Script((Tone(1.0), Hang())))
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        async with connected(inside.url) as line:
            await line.ask(SPEECH, asking(), headers=WITH_KEY)
            head = await line.head()
            heard = 0
            while heard < 48_000:
                heard += len(await line.piece(head) or b"")
        await inside.until(lambda i: bool(i.held_at_return))
        fast_s = expected(TEXT, "en").least_s
        assert fast_s > 1.2
        paid = len(TEXT) * 1_000 // round(fast_s * 1_000) / 1_000
        assert await balance(inside) == pytest.approx(CREDIT - paid)
        assert inside.records[-1].outcome == "abandoned"


async def test_who_hangs_up_when_all_was_said_pays_by_the_exact_part(tmp_path: Path) -> None:
    """The whole is known here, however little of it was read."""
    seconds = 40.0
    voice = Scripted(Script((Tone(seconds),)))
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        async with connected(inside.url, receive_bytes=4_096) as line:
            await line.ask(SPEECH, asking(), headers=WITH_KEY)
            head = await line.head()
            await line.piece(head)
            await voice.until(lambda v: v.left == 1 or v.chunks * 1_920 >= seconds * 48_000)
        await inside.until(lambda i: bool(i.held_at_return))
        record = inside.records[-1]
        assert record.outcome == "abandoned"
        part = record.audio_bytes / (seconds * 48_000)
        assert 0 < part < 1
        paid = int(len(TEXT) * part) / 1_000
        assert await balance(inside) == pytest.approx(CREDIT - paid, abs=0.0011)


async def test_speech_that_breaks_off_is_paid_by_the_part_that_left(tmp_path: Path) -> None:
    voice = Scripted(Script((Tone(1.0), Raise(Broken("cut")))))
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        assert not (await ask(inside)).whole
        slow_s = expected(TEXT, "en").most_s
        paid = len(TEXT) * 1_000 // round(slow_s * 1_000) / 1_000
        assert 0 < paid < COST / 2
        assert await balance(inside) == pytest.approx(CREDIT - paid)
        assert inside.records[-1].outcome == "broken"


async def test_one_idempotency_key_pays_once_for_the_same_text(tmp_path: Path) -> None:
    headers = {**WITH_KEY, "Idempotency-Key": "a-name-of-mine"}
    async with serving_inside(config(), tmp_path, voice=Scripted()) as inside:
        costs = [float((await ask(inside, headers=headers)).headers["x-cost"]) for _ in range(3)]
        assert costs == [pytest.approx(COST), 0, 0]
        other = await ask(inside, headers=headers, input="Another text.")
        assert (other.status, other.error["code"]) == (422, "idempotency_key_reused")
        assert await balance(inside) == pytest.approx(CREDIT - COST)
        told = await ask(inside, headers={**WITH_KEY, "Idempotency-Key": "x" * 256})
        assert told.status == 400


async def test_a_callers_own_request_id_does_not_speak_for_nothing(tmp_path: Path) -> None:
    headers = {**WITH_KEY, "X-Request-ID": "the-same"}
    async with serving_inside(config(), tmp_path, voice=Scripted()) as inside:
        for _ in range(3):
            assert (await ask(inside, headers=headers)).status == 200
        assert await balance(inside) == pytest.approx(CREDIT - 3 * COST)


async def test_audio_is_priced_by_its_length_also_where_it_could_pass_through(
    tmp_path: Path,
) -> None:
    own = config()
    own["models"]["it"]["price"] = {"credits_per_audio_s": 0.01}
    async with serving_inside(own, tmp_path, voice=Scripted(Script((Tone(2.0),)))) as inside:
        streamed = await ask(inside)
        assert "x-cost" not in streamed.headers
        held = await ask(inside, response_format="wav")
        assert held.headers["x-cost"] == "0.02"
        assert await balance(inside) == pytest.approx(CREDIT - 0.04)


class Counting(Scripted):
    """A provider whose upstream says how many tokens it billed."""

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        async with super().synthesize(order, format) as stream:
            stream.tokens = 1_500
            yield stream


async def test_tokens_are_paid_where_the_upstream_reports_them(tmp_path: Path) -> None:
    own = config(("counting", "voice"))
    own["models"]["it"]["price"] = {"credits_per_1k_chars": 1.0, "credits_per_1k_tokens": 0.1}
    async with serving_inside(own, tmp_path, counting=Counting(), voice=Scripted()) as inside:
        told = await ask(inside)
        assert told.headers["x-tts-provider"] == "counting"
        assert "x-cost" not in told.headers, "nobody knows before the end"
        assert await balance(inside) == pytest.approx(CREDIT - 0.15)


async def test_what_is_set_aside_cannot_be_spent_twice(tmp_path: Path) -> None:
    ready = asyncio.Event()
    voice = Scripted(Script((Tone(0.1), Until(ready), Tone(0.1))))
    own = config(entry={"credits": 2.5 * COST})
    async with serving_inside(own, tmp_path, voice=voice) as inside:
        asked = [asyncio.create_task(ask(inside)) for _ in range(2)]
        await voice.until(lambda v: v.accepted == 2)
        assert (await ask(inside)).error["code"] == "insufficient_quota"
        ready.set()
        assert [answer.status for answer in await asyncio.gather(*asked)] == [200, 200]
        assert await balance(inside) == pytest.approx(0.5 * COST)


async def test_an_idle_page_of_any_origin_may_call_with_a_key(tmp_path: Path) -> None:
    async with serving_inside(config(), tmp_path, voice=Scripted()) as inside:
        headers = {**WITH_KEY, "Origin": "https://any.example", "Host": "any.example"}
        told = await ask(inside, headers=headers)
        assert told.status == 200
        assert told.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in told.headers
        exposed = told.headers["access-control-expose-headers"].lower()
        named = {name.strip() for name in exposed.split(",")}
        assert {"x-cost", "x-remaining-balance", "retry-after"} <= named
