"""Every metric, declared once: its name, its kind, its labels, and what it tells.

Names begin with `tts_` and end with their unit. Label values come from closed sets: names of the
config, words of the code; never from a caller.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SPEECH_S = (
    *(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0),
    *(20.0, 30.0, 60.0, 120.0),
)
"""From speech out of memory to a text of some pages on a slow machine."""
RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0)
DELAYS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
JOBS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)


class Declared(msgspec.Struct, frozen=True):
    """One metric. `buckets` are upper bounds, for histograms alone."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


def _counter(said: str, help: str) -> Declared:
    return Declared("counter", *_told(said, "_total"), help)


def _gauge(said: str, help: str) -> Declared:
    return Declared("gauge", *_told(said), help)


def _histogram(said: str, help: str, buckets: tuple[float, ...]) -> Declared:
    return Declared("histogram", *_told(said), help, buckets)


def _told(said: str, end: str = "") -> tuple[str, tuple[str, ...]]:
    """The name and the labels of `name{label,…}`."""
    name, _, labels = said.removesuffix("}").partition("{")
    return f"tts_{name}{end}", tuple(labels.split(",")) if labels else ()


# ---- requests for speech, each counted when it is over

REQUESTS = _counter(
    "requests{shape,model,outcome,status_class}", "Requests for speech, refused ones included."
)
UNSPOKEN = _counter(
    "requests_unspoken{model,outcome,reason}",
    "Requests that were refused, failed or broke off, by the word of the error.",
)
FIRST_AUDIO = _histogram(
    "first_audio_seconds{model,source}",
    "From the opening of a request to its first sound; made for it, shared with another, or kept.",
    SPEECH_S,
)
REQUEST_TIME = _histogram(
    "request_seconds{model,outcome}", "From the opening of a request to its last byte.", SPEECH_S
)
QUEUE_WAIT = _histogram(
    "queue_wait_seconds{queue,provider}",
    "Waits, in vain too, for a place in the server and for a slot of a provider.",
    SPEECH_S,
)
CHARACTERS = _counter(
    "characters{model,provider}", "Code points of the texts of which anything was heard."
)
AUDIO_SECONDS = _counter(
    "audio_seconds{model,provider}",
    "Seconds of audio that were made for callers; what was passed through unread is not in it.",
)
AUDIO_BYTES = _counter("audio_bytes{model,format}", "Bytes that were handed to callers.")
CREDITS = _counter("credits_charged{model,provider}", "Credits that callers were charged.")
PIECES = _counter("pieces{model}", "Pieces in which long texts were spoken.")
COALESCED = _counter(
    "coalesced{model}", "Requests that heard what was being made for another already."
)
REPEATS = _counter("repeats{model}", "Requests that heard the answer given before under their key.")
CACHE_REQUESTS = _counter(
    "cache_requests{model,result}", "Requests that were looked up in the cache of speech."
)
FALLBACKS = _counter(
    "fallbacks{model,provider,reason}",
    "Providers that were passed over or failed before another spoke or nobody did.",
)
SUBSTITUTIONS = _counter(
    "voice_substitutions{model,provider,reason}",
    "Speech in another voice than was wanted, by who spoke it and why.",
)
BROKEN = _counter(
    "streams_broken{model,provider,reason}", "Speech that broke off after its first sound."
)

# ---- providers

ATTEMPTS = _counter(
    "attempts{provider,upstream_model,result}", "Times that a provider was asked to speak."
)
PROVIDER_FIRST_AUDIO = _histogram(
    "provider_first_audio_seconds{provider,upstream_model}",
    "From asking a provider, with its slot in hand, to its first sound.",
    SPEECH_S,
)
REAL_TIME_FACTOR = _histogram(
    "real_time_factor{provider,upstream_model}",
    "Seconds that a provider took for each second of its audio; below 1 is faster than heard.",
    RATIOS,
)
PROVIDER_AUDIO = _counter(
    "provider_audio_seconds{provider,upstream_model}",
    "Seconds of audio of the speeches and pieces that a provider brought to their end.",
)
PROVIDER_WORK = _counter(
    "provider_work_seconds{provider,upstream_model}", "Seconds that it took for them."
)
PROVIDER_COST = _counter(
    "provider_cost{provider,upstream_model,currency}",
    "What it takes from us for them, by what it says that it costs.",
)
HEDGES = _counter(
    "hedges{model,provider}",
    "Times that a second provider, this one, was asked because the first was late.",
)
RESUMED = _counter(
    "pieces_resumed{provider,instead_of}",
    "Times that a provider went on with a long speech in which another had died.",
)
DOUBTS = _counter(
    "speech_doubts{provider,upstream_model,finding,certain}",
    "What was found against a speech: empty, silent, too_short, too_long, loop.",
)
BREAKER_OPENED = _counter(
    "breaker_opened{provider,upstream_model,reason}", "Times that a breaker opened."
)
BREAKER_STATE = _gauge(
    "breaker_state{provider,upstream_model,state}",
    "1 for the state that a breaker is in: closed, half_open or open; 0 for the others.",
)
BREAKER_WAIT = _gauge(
    "breaker_wait_seconds{provider,upstream_model}", "How long it is still left alone."
)
PROVIDER_STATE = _gauge(
    "provider_state{provider,kind,state}",
    "1 for how a provider is: on, not_ready or off; 0 for the others.",
)
SLOTS_IN_USE = _gauge("slots_in_use{provider}", "Speeches at work in a provider.")
SLOTS_FREE = _gauge("slots_free{provider}", "Speeches that it could take at once.")
SLOTS_WAITING = _gauge("slots_waiting{provider}", "Speeches that wait for one of its slots.")
PLACES_IN_USE = _gauge("places_in_use", "Speeches under way in the server.")
PLACES_FREE = _gauge("places_free", "Speeches that it could take at once.")
PLACES_WAITING = _gauge("places_waiting", "Speeches that wait for a place in it.")
PREDICTED_WAIT = _gauge(
    "predicted_wait_seconds{queue,provider}",
    "What somebody who comes now would wait for a place in the server or a slot of a provider.",
)
EXPECTED_FIRST_AUDIO = _gauge(
    "expected_first_audio_seconds{provider,upstream_model}",
    "The moving mean of its first sounds, which routing goes by.",
)
EXPECTED_FACTOR = _gauge(
    "expected_real_time_factor{provider,upstream_model}",
    "The moving mean of its real-time factors, which routing goes by.",
)
MODEL_READY = _gauge("model_ready{model}", "1: somebody may speak for this model now.")
READY = _gauge("ready", "1: the server is ready, as in /health/ready.")

# ---- limits, credit, what is kept

LIMIT_REFUSALS = _counter(
    "limit_refusals{scope,measure,use}", "Refusals because a limit was reached."
)
LIMITS_LOST = _gauge("limits_lost", "1: the shared store of limits cannot be reached.")
LIMITS_LOSSES = _counter("limits_losses", "Times that it was lost.")
BOOKS_LOST = _gauge("books_lost", "1: the store of keys and credit cannot be written.")
CACHE_BYTES = _gauge(
    "cache_bytes{store}",
    "Finished speech that is kept in memory, on disk, and as answers to an Idempotency-Key.",
)
CACHE_LIMIT = _gauge("cache_limit_bytes{store}", "The most that may be kept there.")

# ---- jobs

JOBS = _gauge("jobs{state}", "Jobs in the store, which all its processes see alike.")
JOBS_OLDEST = _gauge(
    "jobs_oldest_queued_seconds", "Age of the oldest job that waits; 0: none does."
)
JOBS_DISK = _gauge("jobs_disk_bytes", "What finished and unfinished jobs take on disk.")
JOB_CHANGES = _counter(
    "job_changes{model,state}", "Jobs that came to a state, as this process saw it."
)
JOB_TIME = _histogram("job_seconds{model,state}", "From a job's submission to its end.", JOBS_S)
WEBHOOKS = _counter(
    "webhook_deliveries{result}", "Calls of webhooks: delivered, failed, or given up (dead)."
)

# ---- local engines: what a provider tells of its inside

ENGINE_READY = _gauge("engine_ready{provider}", "1: the engine can speak.")
ENGINE_START = _gauge(
    "engine_start_ratio{provider}", "How much of the present stage of its start is done."
)
ENGINE_LOAD = _gauge(
    "engine_load_seconds{provider}", "From its start until it was ready; 0 before."
)
ENGINE_ROWS = _gauge("engine_rows{provider}", "Chunks that are spoken at once: the batch.")
ENGINE_ROWS_MOST = _gauge("engine_rows_limit{provider}", "The most of them.")
ENGINE_SPEECHES = _gauge("engine_speeches{provider}", "Speeches in it, those that wait too.")
ENGINE_WAITING = _gauge(
    "engine_speeches_waiting{provider}", "Speeches of which nothing was begun yet."
)
ENGINE_FRAME_RATE = _gauge("engine_frames_per_second{provider}", "Frames that it makes, of late.")
ENGINE_FRAMES = _counter("engine_frames{provider}", "Frames that it has made.")
ENGINE_STAGES = _counter(
    "engine_stage_seconds{provider,stage}", "Thread time by stage: prefill, decode, local, codec."
)
ENGINE_REGENERATED = _counter(
    "engine_chunks_regenerated{provider,finding}",
    "Chunks that had gone wrong and were made again before anybody heard of it.",
)
ENGINE_MODEL_BYTES = _gauge(
    "engine_model_resident_bytes{provider}", "What the process grew by with the model."
)
ENGINE_VOICES_BYTES = _gauge("engine_voices_bytes{provider}", "What it keeps in memory of voices.")
ENGINE_PATH = _gauge(
    "engine_path_info{provider,part,path,why}",
    "1 for the graph that serves a part of the model: reference, exact or int8, and why.",
)
FIGURE = _gauge("provider_figure{provider,name}", "What else a provider tells of its inside.")
FIGURE_TOTAL = _counter(
    "provider_tally{provider,name}", "The same, where it only grows while it is open."
)

# ---- the process

BUILD = _gauge("build_info{version,python}", "1 for what runs.")
CONFIG_LOADED = _gauge("config_loaded_timestamp_seconds", "When the present config was read.")
RELOAD_OK = _gauge("config_reload_success", "1: the last reload went well, if any.")
RELOADED = _gauge("config_reload_timestamp_seconds", "When the last was tried; 0: none was.")
RELOADS = _counter("config_reloads{result}", "Reloads of the config: ok or refused.")
HTTP_REQUESTS = _gauge("http_requests", "HTTP requests under way, of all paths.")
DRAINING = _gauge("draining", "1: the server is going down.")
LOOP_DELAY = _histogram(
    "event_loop_delay_seconds", "How late a timer of the event loop was.", DELAYS_S
)

DECLARED: tuple[Declared, ...] = tuple(
    thing for thing in tuple(globals().values()) if isinstance(thing, Declared)
)
"""All of them, in this order."""
