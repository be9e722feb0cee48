"""Where the traffic makes a value known, Prometheus has it: counts exactly, quantiles within their
bucket."""

from __future__ import annotations

import bisect
import math

import pytest

from router.telemetry.metrics import SPEECH_S as SPEECH_BUCKETS_S
from tests.grafana import story as traffic
from tests.grafana.files import targets
from tests.grafana.promql import filled
from tests.grafana.story import Told
from tests.grafana.voices import COST, SLOW_FACTOR
from tests.grafana.world import FIRST_S, PACE, PRICE, SPEECH_S

pytestmark = pytest.mark.timeout(240)
TALKS = traffic.TALKS + 1
DEARS = 5
"""Two in each round, and the one that the key which may little had."""
BYTES_PER_S = 48_000
EXACT = {
    'tts_requests_total{model="talk",outcome="spoken",status_class="2xx"}': TALKS,
    'tts_requests_unspoken_total{outcome="refused",reason="unsupported_format"}': 2,
    'tts_first_audio_seconds_count{model="talk",source="made"}': TALKS,
    'tts_attempts_total{provider="dear",result="spoken"}': DEARS,
    'tts_characters_total{model="talk"}': TALKS * traffic.CHARACTERS,
    'tts_audio_seconds_total{model="talk"}': TALKS * SPEECH_S,
    'tts_audio_bytes_total{model="talk",format="pcm"}': TALKS * SPEECH_S * BYTES_PER_S,
    'tts_credits_charged_total{model="talk"}': TALKS * traffic.CHARACTERS * PRICE / 1000,
    "tts_provider_cost_total": DEARS * traffic.CHARACTERS * COST.per_1k_chars / 1000,
    'tts_cache_requests_total{result="hit"}': 2,
    "tts_coalesced_total": 2,
    "tts_repeats_total": 2,
    'tts_limit_refusals_total{scope="key",measure="requests"}': 3,
    'tts_jobs{state="completed"}': 2,
    'tts_webhook_deliveries_total{result="delivered"}': 2,
}
"""In health."""
EXACT_ILL = {
    'tts_requests_total{model="cut",outcome="broken",status_class="2xx"}': traffic.CUT + 1,
    'tts_streams_broken_total{model="cut",provider="cut"}': traffic.CUT + 1,
    'tts_requests_total{model="dead",status_class="5xx"}': 2 * traffic.DEAD,
    'tts_fallbacks_total{model="mute-then-good",provider="mute"}': traffic.MUTED + 1,
    'tts_requests_total{model="mute-then-good",outcome="spoken"}': traffic.MUTED + 1,
    'tts_speech_doubts_total{provider="hasty",finding="too_short"}': traffic.HASTY + 1,
    'tts_engine_chunks_regenerated_total{provider="slow",finding="loop"}': traffic.SLOW + 1,
    'tts_pieces_resumed_total{provider="good",instead_of="dying"}': 1,
    'tts_first_audio_seconds_bucket{model="late",le="2.0"}': 0,
    'tts_first_audio_seconds_count{model="late"}': traffic.LATE + 1,
    'tts_jobs{state="completed"}': 4,
    'tts_webhook_deliveries_total{result="dead"}': 2,
}


def _panel(name: str, **chosen: str) -> str:
    return next(filled(target.expr, **chosen) for target in targets() if target.name == name)


@pytest.mark.parametrize("counter", EXACT)
async def test_what_is_counted_in_health_is_what_was_asked_for(story: Told, counter: str) -> None:
    assert await story.watch.value(f"sum({counter})", story.healthy) == pytest.approx(
        EXACT[counter]
    )


@pytest.mark.parametrize("counter", EXACT_ILL)
async def test_what_is_counted_in_illness_is_what_went_wrong(story: Told, counter: str) -> None:
    found = await story.watch.value(f"sum({counter})", story.ill)
    assert found == EXACT_ILL[counter]


def _first_audio_s(story: Told, model: str) -> list[float]:
    """As the router's log has it, the soonest first. The very first was over before Prometheus knew
    its series, so that no rate has it."""
    told = [each["first_audio_s"] for each in story.records if each["model"] == model]
    heard = [first_s for first_s in told if first_s is not None]
    return sorted(heard[1:])


def _bucket(seconds: float) -> tuple[float, float]:
    """The bounds of the bucket in which it lies."""
    at = bisect.bisect_left(SPEECH_BUCKETS_S, seconds)
    return (0.0, *SPEECH_BUCKETS_S)[at], SPEECH_BUCKETS_S[at]


async def test_a_rate_is_what_came_in_its_window(story: Told) -> None:
    found = await story.watch.values(_panel("tts-overview-5A", model="talk"), story.healthy)
    rates = {labels["outcome"]: value for labels, value in found}
    assert traffic.TALKS * 0.95 < rates["spoken"] * 600 < TALKS * 1.1


@pytest.mark.parametrize(("line", "share"), [("A", 0.5), ("B", 0.95)])
@pytest.mark.parametrize("model", ["talk", "late"])
async def test_a_quantile_of_the_first_audio_lies_in_the_bucket_of_the_true_one(
    story: Told, model: str, line: str, share: float
) -> None:
    panel = _panel(f"tts-overview-6{line}", model=model)
    found = await story.watch.value(panel, story.healthy if model == "talk" else story.ill)
    heard = _first_audio_s(story, model)
    least, most = _bucket(heard[math.ceil(share * len(heard)) - 1])
    assert least <= found <= most


@pytest.mark.parametrize("model", ["talk", "late"])
async def test_the_part_that_is_heard_soon_is_what_the_log_says(story: Told, model: str) -> None:
    heard = _first_audio_s(story, model)
    soon = sum(each <= 2.0 for each in heard) / len(heard)
    at = story.healthy if model == "talk" else story.ill
    assert await story.watch.value(_panel("tts-overview-3A", model=model), at) == pytest.approx(
        soon
    )


async def test_real_time_factors_are_at_least_those_of_the_script(story: Told) -> None:
    """More where the machine is busy."""
    good = await story.watch.value(_panel("tts-providers-5A", provider="good"), story.healthy)
    slow = await story.watch.value(_panel("tts-engine-4A", provider="slow"), story.ill)
    script = (FIRST_S + PACE * SPEECH_S) / SPEECH_S
    assert 0.95 * script < good < 3, "the last chunk is there before its sound is over"
    assert 0.95 * SLOW_FACTOR < slow < 5


async def test_all_valid_requests_are_spoken_in_health_and_not_in_illness(story: Told) -> None:
    spoken = "tts-overview-2A"
    assert await story.watch.value(_panel(spoken), story.healthy) == pytest.approx(1)
    assert await story.watch.value(_panel(spoken, model="talk"), story.ill) == pytest.approx(1)
    assert await story.watch.value(_panel(spoken, model="dead"), story.ill) == 0


async def test_who_is_left_alone_is_shown_so(story: Told) -> None:
    breakers = {
        labels["provider"]: value
        for labels, value in await story.watch.values(_panel("tts-providers-2A"), story.ill)
    }
    states = {
        labels["provider"]: value
        for labels, value in await story.watch.values(_panel("tts-providers-1A"), story.ill)
    }
    assert (breakers["mute"], breakers["good"]) == (2, 0)
    assert set(states.values()) == {2}


async def test_a_lost_store_is_shown(story: Told) -> None:
    for panel in ("tts-limits-1A", "tts-limits-2A"):
        assert await story.watch.value(_panel(panel), story.healthy) == 0
        assert await story.watch.value(_panel(panel), story.lost) == 1
