"""Each thing that happens is counted once, in each metric that it belongs to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from router.audio.wav import header
from router.contract.audio import AudioFormat
from router.contract.errors import BadKey, Broken
from router.contract.speech import Cost, SpeechOrder
from router.testing.script import Raise, Script, Tone, Until
from router.testing.scripted import DEFAULT_OFFERS, Scripted
from router.testing.tone import tone
from tests.support.inside import serving_inside
from tests.support.scripts import SPEECH, TEXT, asking
from tests.support.wire import connected, exchange
from tests.telemetry.telling import counted, series, telling

LENGTH = len(TEXT)
PCM_BYTES = 4_800
"""A tenth of a second at 24 kHz."""
LONG = "One sentence is here. " + "Another sentence is there. " * 5
BRIEF = Script(speaking=(Tone(0.1),))


def failing(error: Exception) -> Scripted:
    return Scripted(Script(entering=(Raise(error),)))


def spoken(provider: str, source: str = "made", seconds: float = 0.1) -> dict[str, float]:
    """What one speech counts that this provider made from its beginning to its end."""
    who = f'provider="{provider}",upstream_model="tone-1"'
    return {
        'tts_requests_total{model="it",outcome="spoken",shape="openai",status_class="2xx"}': 1,
        f'tts_first_audio_seconds_count{{model="it",source="{source}"}}': 1,
        'tts_request_seconds_count{model="it",outcome="spoken"}': 1,
        'tts_queue_wait_seconds_count{provider="",queue="place"}': 1,
        f'tts_characters_total{{model="it",provider="{provider}"}}': LENGTH,
        f'tts_audio_seconds_total{{model="it",provider="{provider}"}}': seconds,
        'tts_audio_bytes_total{format="pcm",model="it"}': round(seconds * 48_000),
        **made(who, provider, seconds),
    }


def made(who: str, provider: str, seconds: float) -> dict[str, float]:
    return {
        f'tts_queue_wait_seconds_count{{provider="{provider}",queue="slot"}}': 1,
        attempt(provider, "spoken"): 1,
        f"tts_provider_first_audio_seconds_count{{{who}}}": 1,
        f"tts_real_time_factor_count{{{who}}}": 1,
        f"tts_provider_audio_seconds_total{{{who}}}": seconds,
    }


def attempt(provider: str, result: str) -> str:
    who = f'provider="{provider}",result="{result}",upstream_model="tone-1"'
    return f"tts_attempts_total{{{who}}}"


def without_work(moved: dict[str, float]) -> dict[str, float]:
    """Without the seconds that somebody took, which nobody knows beforehand."""
    return {k: v for k, v in moved.items() if not k.startswith("tts_provider_work_seconds_total")}


def substituted(provider: str, reason: str) -> dict[str, float]:
    who = f'model="it",provider="{provider}",reason="{reason}"'
    return {f"tts_voice_substitutions_total{{{who}}}": 1}


async def test_a_speech_is_counted_once_everywhere(tmp_path: Path) -> None:
    async with telling(tmp_path, one=Scripted(BRIEF)) as it:
        before = await it.metrics()
        answer = await it.asks()
        after = await it.metrics()

    assert len(answer.content) == PCM_BYTES
    moved = counted(before, after)
    assert without_work(moved) == spoken("one") | substituted("one", "chosen")
    who = 'provider="one",upstream_model="tone-1"'
    assert 0 < moved[f"tts_provider_work_seconds_total{{{who}}}"] < 5
    assert after['tts_first_audio_seconds_bucket{le="5.0",model="it",source="made"}'] == 1
    assert after[f"tts_expected_first_audio_seconds{{{who}}}"] > 0


async def test_what_is_refused_is_counted_as_that_and_as_nothing_else(tmp_path: Path) -> None:
    async with telling(tmp_path, one=Scripted(BRIEF)) as it:
        before = await it.metrics()
        assert (await it.asks("nobody-knows-this")).status_code == 404
        after = await it.metrics()

    refused = 'model="",outcome="refused"'
    assert counted(before, after) == {
        f'tts_requests_total{{{refused},shape="openai",status_class="4xx"}}': 1,
        f'tts_requests_unspoken_total{{{refused},reason="unknown_model"}}': 1,
        f"tts_request_seconds_count{{{refused}}}": 1,
    }


async def test_a_fallback_is_counted_for_who_failed_and_for_who_spoke(tmp_path: Path) -> None:
    async with telling(tmp_path, ill=failing(Broken("x")), well=Scripted(BRIEF)) as it:
        before = await it.metrics()
        assert (await it.asks()).status_code == 200
        after = await it.metrics()

    assert without_work(counted(before, after)) == {
        **spoken("well"),
        **substituted("well", "fallback"),
        attempt("ill", "broken"): 1,
        'tts_queue_wait_seconds_count{provider="ill",queue="slot"}': 1,
        'tts_fallbacks_total{model="it",provider="ill",reason="broken"}': 1,
    }


async def test_nobody_speaks_and_each_attempt_is_counted(tmp_path: Path) -> None:
    async with telling(tmp_path, ill=failing(Broken("x"))) as it:
        before = await it.metrics()
        assert (await it.asks()).status_code == 502
        after = await it.metrics()

    failed = 'model="it",outcome="failed"'
    assert counted(before, after) == {
        f'tts_requests_total{{{failed},shape="openai",status_class="5xx"}}': 1,
        f'tts_requests_unspoken_total{{{failed},reason="nobody_spoke"}}': 1,
        f"tts_request_seconds_count{{{failed}}}": 1,
        'tts_queue_wait_seconds_count{provider="",queue="place"}': 1,
        'tts_queue_wait_seconds_count{provider="ill",queue="slot"}': 1,
        attempt("ill", "broken"): 1,
        'tts_fallbacks_total{model="it",provider="ill",reason="broken"}': 1,
    }


async def test_speech_that_breaks_off_is_a_broken_stream(tmp_path: Path) -> None:
    cut = Scripted(Script(speaking=(Tone(0.1), Raise(Broken("x")))))
    async with telling(tmp_path, cut=cut) as it:
        before = await it.metrics()
        await it.asks()
        moved = counted(before, await it.metrics())

    broken = 'model="it",outcome="broken"'
    told = f'tts_requests_total{{{broken},shape="openai",status_class="2xx"}}'
    assert moved[told] == 1
    assert moved['tts_streams_broken_total{model="it",provider="cut",reason="broken"}'] == 1
    assert moved[f'tts_requests_unspoken_total{{{broken},reason="broken"}}'] == 1
    assert moved[attempt("cut", "spoken")] == 1
    assert not any(name.startswith("tts_real_time_factor") for name in moved)


async def test_requests_that_share_a_speech_are_two_and_the_attempt_is_one(tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    voice = Scripted(Script(speaking=(Until(goes_on), Tone(0.1))))
    config = {"models": {"it": {"routes": [{"provider": "one"}]}}}
    async with telling(tmp_path, config, one=voice) as it:
        before = await it.metrics()
        asked = [asyncio.create_task(it.asks()) for _ in range(2)]
        async with asyncio.timeout(5):
            await voice.until(lambda v: v.entered == 1)
            while (during := await it.metrics())["tts_places_in_use"] < 2:
                pass
            goes_on.set()
            await asyncio.gather(*asked)
        moved = counted(before, await it.metrics())

    told = 'tts_requests_total{model="it",outcome="spoken",shape="openai",status_class="2xx"}'
    assert moved[told] == 2
    assert moved['tts_coalesced_total{model="it"}'] == 1
    assert moved['tts_first_audio_seconds_count{model="it",source="shared"}'] == 1
    assert moved[attempt("one", "spoken")] == 1
    assert moved['tts_provider_audio_seconds_total{provider="one",upstream_model="tone-1"}'] == 0.1
    assert (during["tts_places_in_use"], during['tts_slots_in_use{provider="one"}']) == (2, 1)
    assert (during["tts_places_free"], during['tts_slots_free{provider="one"}']) == (62, 15)


async def test_what_is_kept_is_counted_as_a_hit_and_asks_nobody(tmp_path: Path) -> None:
    config = {"cache": {"enabled": True}}
    async with telling(tmp_path, config, one=Scripted(BRIEF)) as it:
        before = await it.metrics()
        for _ in range(3):
            await it.asks()
        after = await it.metrics()

    moved = counted(before, after)
    assert moved['tts_cache_requests_total{model="it",result="miss"}'] == 1
    assert moved['tts_cache_requests_total{model="it",result="hit"}'] == 2
    assert moved['tts_first_audio_seconds_count{model="it",source="kept"}'] == 2
    assert moved[attempt("one", "spoken")] == 1
    assert moved['tts_audio_bytes_total{format="pcm",model="it"}'] == 3 * PCM_BYTES
    assert after['tts_cache_bytes{store="memory"}'] >= PCM_BYTES
    assert after['tts_cache_limit_bytes{store="memory"}'] == 67_108_864


async def test_a_repeated_answer_is_counted_as_that(tmp_path: Path) -> None:
    async with telling(tmp_path, one=Scripted(BRIEF)) as it:
        before = await it.metrics()
        it.client.headers["Idempotency-Key"] = "once"
        await it.asks()
        await it.asks()
        after = await it.metrics()

    moved = counted(before, after)
    assert moved['tts_repeats_total{model="it"}'] == 1
    assert moved[attempt("one", "spoken")] == 1
    assert after['tts_cache_bytes{store="answers"}'] >= PCM_BYTES


async def test_a_speech_that_goes_on_with_another_is_counted_for_both(tmp_path: Path) -> None:
    dies = Scripted(_dies_in_the_second)
    config = {
        "models": {
            "it": {
                "routes": [{"provider": "first"}, {"provider": "second"}],
                "pieces": "always",
                "piece_chars": 30,
                "voice_change": "any",
            }
        }
    }
    async with telling(tmp_path, config, first=dies, second=Scripted(BRIEF)) as it:
        before = await it.metrics()
        answer = await it.asks(input=LONG)
        moved = counted(before, await it.metrics())

    assert answer.status_code == 200
    assert moved['tts_pieces_resumed_total{instead_of="first",provider="second"}'] == 1
    assert moved.items() >= substituted("second", "resumed").items()
    assert moved['tts_pieces_total{model="it"}'] >= 2
    assert moved[attempt("first", "broken")] == 1


def _dies_in_the_second(order: SpeechOrder) -> Script:
    return BRIEF if order.text.startswith("One") else Script(speaking=(Raise(Broken("x")),))


async def test_a_second_provider_that_is_asked_as_well_is_a_hedge(tmp_path: Path) -> None:
    for_ever = asyncio.Event()
    late: list[Script] = []
    first = Scripted(lambda _: late[0] if late else BRIEF)
    routes = [{"provider": "first"}, {"provider": "second"}]
    config = {"models": {"it": {"routes": routes, "share": False, "hedge": 0.5}}}
    async with telling(tmp_path, config, first=first, second=Scripted(BRIEF)) as it:
        for _ in range(20):
            await it.asks()
        late.append(Script(speaking=(Until(for_ever),)))
        before = await it.metrics()
        assert (await it.asks()).status_code == 200
        moved = counted(before, await it.metrics())

    assert moved['tts_hedges_total{model="it",provider="second"}'] == 1
    assert moved[attempt("second", "spoken")] == 1
    assert moved[attempt("first", "abandoned")] == 1


async def test_what_a_provider_takes_is_counted_once_for_all_who_hear_it(tmp_path: Path) -> None:
    cost = Cost(per_1k_chars=10.0, currency="EUR")
    dear = msgspec.structs.replace(DEFAULT_OFFERS["tone-1"], cost=cost)
    config = {"cache": {"enabled": True}}
    async with telling(tmp_path, config, one=Scripted(BRIEF, offers={"tone-1": dear})) as it:
        before = await it.metrics()
        await it.asks()
        await it.asks()
        moved = counted(before, await it.metrics())

    who = 'currency="EUR",provider="one",upstream_model="tone-1"'
    assert moved[f"tts_provider_cost_total{{{who}}}"] == LENGTH * 10 / 1000


async def test_a_breaker_that_opens_is_counted_and_its_state_is_told(tmp_path: Path) -> None:
    async with telling(tmp_path, {"outlook": {"probe": "off"}}, ill=failing(BadKey("x"))) as it:
        before = await it.metrics()
        await it.asks()
        await it.asks()
        after = await it.metrics()

    moved = counted(before, after)
    opened = 'provider="ill",reason="bad_key",upstream_model="tone-1"'
    assert moved[f"tts_breaker_opened_total{{{opened}}}"] == 1
    assert moved[attempt("ill", "bad_key")] == 1
    states = {
        state: after[f'tts_breaker_state{{provider="ill",state="{state}",upstream_model="tone-1"}}']
        for state in ("closed", "half_open", "open")
    }
    assert states == {"closed": 0, "half_open": 0, "open": 1}
    assert after['tts_breaker_wait_seconds{provider="ill",upstream_model="tone-1"}'] > 0
    assert (after['tts_model_ready{model="it"}'], after["tts_ready"]) == (0, 0)
    assert moved['tts_fallbacks_total{model="it",provider="ill",reason="resting"}'] == 1


async def test_a_caller_who_leaves_is_counted_as_that_and_the_provider_has_not_failed(
    tmp_path: Path,
) -> None:
    for_ever = asyncio.Event()
    voice = Scripted(Script(speaking=(Tone(0.1), Until(for_ever))))
    config = {"models": {"it": {"routes": [{"provider": "one"}]}}}
    async with serving_inside(config, tmp_path, one=voice) as server:
        before = series((await exchange(server.url, "/metrics")).body.decode())
        async with connected(server.url) as line:
            await line.ask(SPEECH, asking())
            assert await line.piece(await line.head())
        async with asyncio.timeout(5):
            await server.until(lambda seen: bool(seen.records))
        moved = counted(before, series((await exchange(server.url, "/metrics")).body.decode()))

    left = 'model="it",outcome="abandoned"'
    assert moved[f'tts_requests_total{{{left},shape="openai",status_class="2xx"}}'] == 1
    assert moved[f"tts_request_seconds_count{{{left}}}"] == 1
    assert moved[attempt("one", "spoken")] == 1
    assert not any("unspoken" in name or "broken" in name for name in moved)


async def test_a_refusal_by_a_limit_is_counted_once_by_what_was_reached(tmp_path: Path) -> None:
    key, reads = "sk-of-a-caller-0123456789", "for-prometheus-alone-0123"
    one = {"key": key, "limits": {"requests_per_minute": 1, "requests_burst": 1}}
    config = {"accounts": {"keys": {"one": one}}, "metrics": {"key": reads}}
    async with telling(tmp_path, config, one=Scripted(BRIEF)) as it:
        it.client.headers["Authorization"] = f"Bearer {key}"
        assert [(await it.asks()).status_code for _ in range(3)] == [200, 429, 429]
        it.client.headers["Authorization"] = f"Bearer {reads}"
        told = await it.metrics()

    reached = 'measure="requests",scope="key",use="speech"'
    assert told[f"tts_limit_refusals_total{{{reached}}}"] == 2
    refused = 'model="it",outcome="refused"'
    assert told[f'tts_requests_unspoken_total{{{refused},reason="rate_limited"}}'] == 2
    assert told[f'tts_requests_total{{{refused},shape="openai",status_class="4xx"}}'] == 2


async def test_a_sample_of_a_voice_that_is_not_used_is_told_as_a_change(tmp_path: Path) -> None:
    config = {"models": {"it": {"routes": [{"provider": "one"}], "clone_fallback": "preset"}}}
    sound = b"".join(chunk for _, chunk in tone(3.0, AudioFormat("pcm", 24_000, 1), 0.1))
    clip = {"prompt_audio": ("x.wav", header(24_000, 1, len(sound)) + sound)}
    async with telling(tmp_path, config, one=Scripted(BRIEF)) as it:
        fields = {"model": "it", "input": TEXT, "voice": "alloy"}
        answer = await it.client.post(SPEECH, data=fields, files=clip)
        told = await it.metrics()

    assert answer.status_code == 200, answer.text
    assert told.items() >= substituted("one", "preset").items()


async def test_a_providers_own_limit_is_counted_where_it_is_reached(tmp_path: Path) -> None:
    limits = {"requests_per_minute": 1, "requests_burst": 1}
    config = {"providers": {"one": {"kind": "one", "limits": limits}, "two": {"kind": "two"}}}
    async with telling(tmp_path, config, one=Scripted(BRIEF), two=Scripted(BRIEF)) as it:
        assert [(await it.asks()).status_code for _ in range(3)] == [200] * 3
        told = await it.metrics()

    reached = 'measure="requests",scope="provider",use="speech"'
    assert told[f"tts_limit_refusals_total{{{reached}}}"] == 2
    assert told[attempt("one", "busy")] == 2
    assert told[attempt("two", "spoken")] == 2
