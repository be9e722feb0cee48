"""Counts what happened: an observer that turns records and events into metrics."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from prometheus_client import CollectorRegistry

from router.contract.audio import ENCODINGS
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
from router.settings.structs import Family, Model
from router.telemetry import metrics
from router.telemetry.counted import Count, Level, Spread
from router.telemetry.labels import Names, Words
from router.telemetry.metrics import Declared

OURS = "router"
"""Stands for a provider where we answer ourselves: 300 ms of silence."""
PIECE = "jobs"
"""Stands for a shape where a piece of a job is spoken."""
_CLASSES = {0: "", 499: "4xx", **{status: f"{status // 100}xx" for status in range(200, 600)}}
_UNSPOKEN = ("refused", "failed", "broken")
_ENDS = (("spoken", "2xx"), ("refused", "5xx"), ("failed", "5xx"), ("broken", "2xx"))
_FAULTS = (
    *("resting", "busy", "timed_out", "unreachable", "broken", "not_speech"),
    *("bad_key", "no_credit"),
)
_BREAKS = ("broken", "timed_out", "not_speech", "unreachable")


class Counting:
    """Everything that is counted, of one process. All of it runs in the event loop."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._models = Names()
        self._providers = Names(OURS)
        self._shapes = Names(*get_args(Family), PIECE)
        self._formats = Names(*ENCODINGS)
        self._upstream = Words(1_000)
        self._reasons = Words()
        self._currencies = Words(16)
        self._registry = registry
        self._of_records()
        self._of_providers()
        self._of_the_rest()
        self._hearers: dict[type[Any], Callable[[Any], None]] = {
            Attempt: self._asked,
            SpeechMade: self._made,
            SpeechHedged: self._hedged,
            SpeechResumed: self._resumed,
            SpeechDoubted: self._doubted,
            BreakerChanged: self._breaker,
            ChunkRegenerated: self._chunk,
            LimitRefused: self._limit,
            LimitsLost: self._lost,
            ConfigReloaded: self._config,
            JobChanged: self._job,
            WebhookTried: self._webhook,
        }

    def _of_records(self) -> None:
        self._requests = self._count(metrics.REQUESTS)
        self._unspoken = self._count(metrics.UNSPOKEN)
        self._first_audio = self._spread(metrics.FIRST_AUDIO)
        self._request_time = self._spread(metrics.REQUEST_TIME)
        self._queue_wait = self._spread(metrics.QUEUE_WAIT)
        self._characters = self._count(metrics.CHARACTERS)
        self._audio_seconds = self._count(metrics.AUDIO_SECONDS)
        self._audio_bytes = self._count(metrics.AUDIO_BYTES)
        self._credits = self._count(metrics.CREDITS)
        self._pieces = self._count(metrics.PIECES)
        self._coalesced = self._count(metrics.COALESCED)
        self._repeats = self._count(metrics.REPEATS)
        self._cache = self._count(metrics.CACHE_REQUESTS)
        self._fallbacks = self._count(metrics.FALLBACKS)
        self._substitutions = self._count(metrics.SUBSTITUTIONS)
        self._broken = self._count(metrics.BROKEN)

    def _of_providers(self) -> None:
        self._attempts = self._count(metrics.ATTEMPTS)
        self._provider_first = self._spread(metrics.PROVIDER_FIRST_AUDIO)
        self._factor = self._spread(metrics.REAL_TIME_FACTOR)
        self._audio = self._count(metrics.PROVIDER_AUDIO)
        self._work = self._count(metrics.PROVIDER_WORK)
        self._cost = self._count(metrics.PROVIDER_COST)
        self._hedges = self._count(metrics.HEDGES)
        self._resumptions = self._count(metrics.RESUMED)
        self._doubts = self._count(metrics.DOUBTS)
        self._opened = self._count(metrics.BREAKER_OPENED)
        self._regenerated = self._count(metrics.ENGINE_REGENERATED)

    def _of_the_rest(self) -> None:
        self._refusals = self._count(metrics.LIMIT_REFUSALS)
        self._losses = self._count(metrics.LIMITS_LOSSES)
        self._jobs = self._count(metrics.JOB_CHANGES)
        self._job_time = self._spread(metrics.JOB_TIME)
        self._webhooks = self._count(metrics.WEBHOOKS)
        self._reloads = self._count(metrics.RELOADS)
        for result in ("ok", "refused"):
            self._reloads.add(0, result)
        for result in ("delivered", "failed", "dead"):
            self._webhooks.add(0, result)
        self._reload_ok = Level(metrics.RELOAD_OK, self._registry)
        self._reload_ok.set(1)
        self._reloaded = Level(metrics.RELOADED, self._registry)
        self.loop_delay = self._spread(metrics.LOOP_DELAY)

    def _count(self, declared: Declared) -> Count:
        return Count(declared, self._registry)

    def _spread(self, declared: Declared) -> Spread:
        return Spread(declared, self._registry)

    def learn(self, models: Iterable[str], providers: Iterable[str]) -> None:
        """The config has these names: they may be labels from now on."""
        self._models.learn(models)
        self._providers.learn(providers)

    def begin(self, models: Mapping[str, Model]) -> None:
        """What alerts look at begins at nought: of a counter that is born at 5 nobody sees an
        increase."""
        for name, model in models.items():
            for outcome, status_class in _ENDS:
                self._requests.add(0, model.family, name, outcome, status_class)
            for route, reason in itertools.product(model.routes, _FAULTS):
                self._fallbacks.add(0, name, route.provider, reason)
            for route, reason in itertools.product(model.routes, _BREAKS):
                self._broken.add(0, name, route.provider, reason)

    # ---- as an observer

    def recorded(self, record: SpeechRecord) -> None:
        model, outcome = self._models.of(record.model), record.outcome
        shape = self._shapes.of(record.shape)
        self._requests.add(1, shape, model, outcome, _CLASSES.get(record.status, ""))
        if outcome in _UNSPOKEN:
            self._unspoken.add(1, model, outcome, self._reasons.of(record.reason))
        if record.priority == "live":
            self._timed(record, model)
        for name, reason in record.passed_over.items():
            self._fallbacks.add(1, model, self._providers.of(name), self._reasons.of(reason))
        if record.cache:
            self._cache.add(1, model, record.cache)
        if record.first_audio_s is not None:
            self._sounded(record, model)

    def noticed(self, event: Event) -> None:
        hear = self._hearers.get(type(event))
        if hear is not None:
            hear(event)

    # ---- requests

    def _timed(self, record: SpeechRecord, model: str) -> None:
        """How long somebody waited who listens."""
        self._request_time.add(record.total_s, model, record.outcome)
        if record.place_s is not None:
            self._queue_wait.add(record.place_s, "place", "")
        if record.first_audio_s is not None:
            is_kept = record.cache == "hit" or record.repeat
            source = "kept" if is_kept else "shared" if record.shared else "made"
            self._first_audio.add(record.first_audio_s, model, source)

    def _sounded(self, record: SpeechRecord, model: str) -> None:
        """What only a request has of which something was heard."""
        provider = self._providers.of(record.provider)
        self._characters.add(record.characters, model, provider)
        self._audio_seconds.add(record.audio_s or 0.0, model, provider)
        self._audio_bytes.add(record.audio_bytes, model, self._formats.of(record.format))
        if record.credits:
            self._credits.add(record.credits, model, provider)
        if record.pieces:
            self._pieces.add(record.pieces, model)
        if record.shared:
            self._coalesced.add(1, model)
        if record.repeat:
            self._repeats.add(1, model)
        if record.voice_change:
            self._substitutions.add(1, model, provider, record.voice_change)
        if record.outcome == "broken":
            self._broken.add(1, model, provider, self._reasons.of(record.reason))

    # ---- providers

    def _who(self, event: Attempt | SpeechMade | SpeechDoubted | BreakerChanged) -> tuple[str, str]:
        return self._providers.of(event.provider), self._upstream.of(event.model)

    def _asked(self, attempt: Attempt) -> None:
        provider, model = self._who(attempt)
        self._attempts.add(1, provider, model, self._reasons.of(attempt.result))
        if attempt.priority == "live":
            self._queue_wait.add(attempt.waited_s, "slot", provider)
        if attempt.first_audio_s is not None:
            self._provider_first.add(attempt.first_audio_s, provider, model)

    def _made(self, event: SpeechMade) -> None:
        provider, model = self._who(event)
        if event.audio_s:
            self._factor.add(event.seconds / event.audio_s, provider, model)
            self._audio.add(event.audio_s, provider, model)
            self._work.add(event.seconds, provider, model)
        if event.cost:
            self._cost.add(event.cost, provider, model, self._currencies.of(event.currency))

    def _hedged(self, event: SpeechHedged) -> None:
        self._hedges.add(1, self._models.of(event.public_model), self._providers.of(event.provider))

    def _resumed(self, event: SpeechResumed) -> None:
        provider = self._providers.of(event.provider)
        self._resumptions.add(1, provider, self._providers.of(event.instead_of))
        if not event.is_same_voice:
            self._substitutions.add(1, self._models.of(event.public_model), provider, "resumed")

    def _doubted(self, event: SpeechDoubted) -> None:
        certain = "true" if event.certain else "false"
        self._doubts.add(1, *self._who(event), self._reasons.of(event.finding), certain)

    def _breaker(self, event: BreakerChanged) -> None:
        if event.state == "open":
            self._opened.add(1, *self._who(event), self._reasons.of(event.reason))

    def _chunk(self, event: ChunkRegenerated) -> None:
        provider = self._providers.of(event.provider)
        self._regenerated.add(1, provider, self._reasons.of(event.finding))

    # ---- limits, jobs, the config

    def _limit(self, event: LimitRefused) -> None:
        self._refusals.add(1, *map(self._reasons.of, (event.scope, event.measure, event.use)))

    def _lost(self, event: LimitsLost) -> None:
        if event.is_lost:
            self._losses.add(1)

    def _job(self, event: JobChanged) -> None:
        model = self._models.of(event.model)
        self._jobs.add(1, model, event.state)
        if event.state != "queued":
            self._job_time.add(event.seconds, model, event.state)
        if event.credits:
            self._credits.add(event.credits, model, self._providers.of(event.provider))

    def _webhook(self, event: WebhookTried) -> None:
        self._webhooks.add(1, "delivered" if event.ok else "dead" if event.dead else "failed")

    def _config(self, event: ConfigReloaded) -> None:
        self._reloads.add(1, "ok" if event.ok else "refused")
        self._reload_ok.set(event.ok)
        self._reloaded.set(time.time())
