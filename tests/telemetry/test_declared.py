"""Every metric that is declared is told, and nothing else; what is told is what scrapers read."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as of_openmetrics
from prometheus_client.parser import text_string_to_metric_families as of_prometheus

from router.contract.provider import ServingPath, State
from router.contract.record import (
    Attempt,
    BreakerChanged,
    ChunkRegenerated,
    ConfigReloaded,
    Event,
    JobChanged,
    LimitRefused,
    LimitsLost,
    SpeechDoubted,
    SpeechHedged,
    SpeechMade,
    SpeechRecord,
    SpeechResumed,
    WebhookTried,
)
from router.telemetry.exposition import Exposition
from router.telemetry.metrics import DECLARED
from router.telemetry.sampled import Instance, JobFigures, Kept, Opinion, Room, Sample

PROMTOOL = shutil.which("promtool")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
EVENTS: tuple[Event, ...] = (
    Attempt("p", "m", "spoken", 0.0, 1.0, 0.5, 0.2),
    BreakerChanged("p", "m", "open", "broken", 3.0),
    SpeechHedged("it", "p"),
    SpeechMade("p", "m", 1.0, 2.0, 0.5, "USD"),
    SpeechResumed("p", "m", "q", "it"),
    SpeechDoubted("p", "m", "too_short", certain=True),
    ChunkRegenerated("p", "loop"),
    LimitRefused("key", "requests", "speech"),
    LimitsLost(is_lost=True, on_loss="open"),
    ConfigReloaded(ok=True, why=""),
    JobChanged("completed", "it", 12.0),
    WebhookTried(ok=False, attempts=9, dead=True),
)
ONCE = {
    "tts_breaker_opened_total": "broken",
    "tts_hedges_total": "",
    "tts_pieces_resumed_total": "",
    "tts_voice_substitutions_total": "resumed",
    "tts_speech_doubts_total": "too_short",
    "tts_engine_chunks_regenerated_total": "loop",
    "tts_limit_refusals_total": "requests",
    "tts_limits_losses_total": "",
    "tts_job_changes_total": "completed",
    "tts_job_seconds_count": "completed",
    "tts_webhook_deliveries_total": "dead",
    "tts_attempts_total": "spoken",
    "tts_real_time_factor_count": "m",
}
ROOM = Room(1, 2, 3, 0.5)
SAMPLE = Sample(
    version="1",
    is_ready=True,
    is_draining=False,
    requests=1,
    config_loaded=1.0,
    places=ROOM,
    providers={
        "p": Instance(
            kind="k",
            state="on",
            slots=ROOM,
            models={"m": Opinion(state="open", wait_s=1.0, first_audio_s=0.1, real_time_factor=2)},
            inside=State(
                line="",
                gauges={
                    **dict.fromkeys(("ready", "start_share", "load_seconds", "rows"), 1.0),
                    **dict.fromkeys(("rows_most", "speeches", "speeches_waiting"), 1.0),
                    **dict.fromkeys(("frames_per_second", "model_resident_bytes"), 1.0),
                    "voices_bytes": 1.0,
                    "its_own": 4.0,
                },
                counters={"frames": 1.0, "decode_seconds": 2.0, "its_own": 5.0},
                paths={"decoder": ServingPath("reference", "it is slower here")},
            ),
        )
    },
    models={"it": True},
    limits_lost=False,
    books_lost=False,
    kept={"memory": Kept(1, 2)},
    jobs=JobFigures({"queued": 1}, 5.0, 100),
)


def everything() -> Exposition:
    """One of all that can happen."""
    exposition = Exposition()
    for event in EVENTS:
        exposition.counting.noticed(event)
    exposition.counting.recorded(
        SpeechRecord(
            request_id="r",
            shape="openai",
            opened=0.0,
            model="it",
            place_s=0.1,
            passed_over={"p": "off"},
            cache="hit",
            repeat=True,
            shared=True,
            pieces=2,
            credits=0.5,
            first_audio_s=0.1,
            audio_s=1.0,
            outcome="broken",
            reason="broken",
            status=200,
        )
    )
    exposition.counting.loop_delay.add(0.1)
    return exposition


async def text(accept: str = "") -> str:
    return (await everything().text(SAMPLE, accept)).body.decode()


async def test_all_that_is_declared_is_told_as_it_is_declared() -> None:
    told = {family.name: family for family in of_prometheus(await text())}

    ours = {_name(name) for name in told if name.startswith("tts_")}
    assert ours == {_name(one.name) for one in DECLARED}
    by_name = {_name(name): family for name, family in told.items()}
    for one in DECLARED:
        family = by_name[_name(one.name)]
        assert (family.type, family.documentation) == (one.kind, one.help)
        labels = {key for sample in family.samples for key in sample.labels} - {"le"}
        assert labels == set(one.labels), one.name


async def test_each_event_is_counted_once() -> None:
    samples = [s for family in of_prometheus(await text()) for s in family.samples]
    for name, word in ONCE.items():
        found = [s for s in samples if s.name == name and word in ("", *s.labels.values())]
        assert [s.value for s in found] == [1.0], name


def _name(name: str) -> str:
    return name.removesuffix("_total")


def test_names_have_a_unit_and_a_help() -> None:
    assert len({one.name for one in DECLARED}) == len(DECLARED)
    for one in DECLARED:
        assert one.name.startswith("tts_")
        assert one.help.endswith("."), one.name
        assert (one.kind == "counter") == one.name.endswith("_total"), one.name
        assert bool(one.buckets) == (one.kind == "histogram")
        assert sorted(set(one.buckets)) == list(one.buckets)


def test_speech_has_buckets_from_five_milliseconds_to_two_minutes() -> None:
    of_speech = [o for o in DECLARED if "audio_seconds" in o.name and o.kind == "histogram"]
    assert {(one.buckets[0], one.buckets[-1]) for one in of_speech} == {(0.005, 120.0)}


async def test_openmetrics_is_told_to_who_asks_for_it() -> None:
    exposition = everything()
    answer = await exposition.text(SAMPLE, OPENMETRICS)

    assert answer.media_type.startswith("application/openmetrics-text; version=1.0.0")
    families = of_openmetrics(answer.body.decode())  # type: ignore[no-untyped-call]  # it has no types
    told = {family.name for family in families}
    assert told >= {_name(one.name) for one in DECLARED}


@pytest.mark.parametrize("accept", ["", OPENMETRICS, "text/plain;version=0.0.4", "*/*", "junk;;;"])
async def test_no_series_is_told_of_when_another_began(accept: str) -> None:
    assert "_created" not in await text(accept)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt install prometheus)")
def test_promtool_has_nothing_to_say() -> None:
    said = asyncio.run(text())
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=said, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
