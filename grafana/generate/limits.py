"""What is refused, charged, kept and queued: a dashboard of limits, credits and jobs."""

from __future__ import annotations

from grafana.generate.board import BY_MODEL, Board, Row
from grafana.generate.panels import RED, About, Line, Panel, graph, number
from grafana.generate.queries import HERE, MODEL, STEP, quantile, rate


def limits() -> Board:
    return Board(
        "tts-limits",
        "Speech: limits, credits and jobs",
        "Are the stores there, who is refused by which limit, what is charged, what waits?",
        [BY_MODEL],
        [
            Row("Are the stores there?", [_store(), _ledger(), _cache()]),
            Row("Who is refused, what is charged?", [_refusals(), _charged()]),
            Row("Does the queue grow?", [_places(), _wait()]),
            Row("How are the jobs?", [_jobs(), _oldest(), _lasted(), _webhooks()]),
        ],
    )


def _store() -> Panel:
    about = About(
        1,
        "Is the store of limits lost?",
        "How many routers cannot reach the Redis in which they count together. By "
        "`accounts.on_loss` they refuse everybody meanwhile, or each counts for itself.",
        "none",
    )
    return number(about, Line(f"sum(tts_limits_lost{{{HERE}}})"), steps=[(1, RED)], width=6)


def _ledger() -> Panel:
    about = About(
        2,
        "Is the ledger lost?",
        "How many routers cannot write to the store of keys and credit: nobody who pays is served "
        "there.",
        "none",
    )
    return number(about, Line(f"sum(tts_books_lost{{{HERE}}})"), steps=[(1, RED)], width=6)


def _cache() -> Panel:
    about = About(
        3,
        "How full is the cache?",
        "Bytes that are kept, as a part of the most that may be. Full is well: the oldest make "
        "room.",
        "percentunit",
    )
    kept = f"sum by (store) (tts_cache_bytes{{{HERE}}})"
    most = f"sum by (store) (tts_cache_limit_bytes{{{HERE}}})"
    return graph(about, Line(f"{kept} / ({most} > 0)", "{{store}}"), most=1)


def _refusals() -> Panel:
    about = About(
        4,
        "Who is refused, by which limit?",
        "Requests a second beyond a limit: whose it is (a key, an address, a model, everybody) and "
        "what it counts. Empty: nobody.",
        "reqps",
    )
    line = Line(
        rate("tts_limit_refusals_total", HERE, "scope", "measure"), "{{scope}}: {{measure}}"
    )
    return graph(about, line, stacked=True)


def _charged() -> Panel:
    about = About(
        5,
        "What are callers charged?",
        "Credits an hour at the present rate, by model, and thousands of characters an hour.",
        "none",
    )
    credits = rate("tts_credits_charged_total", MODEL, "model")
    characters = rate("tts_characters_total", MODEL, "model")
    return graph(
        about,
        Line(f"3600 * {credits}", "{{model}}: credits"),
        Line(f"3.6 * {characters}", "{{model}}: 1000 characters"),
    )


def _places() -> Panel:
    about = About(
        6,
        "How full is the server?",
        "Speeches at once, how many there may be, and how many wait for a place. Who waits when "
        "all are taken is refused with 503 once the queue is full.",
        "none",
    )
    in_use, free = (f"sum(tts_places_{what}{{{HERE}}})" for what in ("in_use", "free"))
    return graph(
        about,
        Line(in_use, "speak"),
        Line(f"{in_use} + {free}", "places"),
        Line(f"sum(tts_places_waiting{{{HERE}}})", "wait"),
    )


def _wait() -> Panel:
    about = About(
        7,
        "How long would the next one wait?",
        "What somebody who comes now may expect to wait for a place in the server, and for a slot "
        "of each provider.",
        "s",
    )
    line = Line(
        f"max by (queue, provider) (tts_predicted_wait_seconds{{{HERE}}})", "{{queue}} {{provider}}"
    )
    return graph(about, line, steps=[(10, RED)])


def _jobs() -> Panel:
    about = About(
        8,
        "How many jobs are there?",
        "Jobs in the store, by state. Routers that share a store see the same ones.",
        "none",
    )
    line = Line(f"max by (state) (tts_jobs{{{HERE}}})", "{{state}}")
    return graph(about, line, stacked=True)


def _oldest() -> Panel:
    about = About(
        9,
        "How long has the oldest job waited?",
        "It grows without end where nobody works: `jobs.workers` is 0 and no `tts-router worker` "
        "runs, or live speech leaves no room.",
        "s",
    )
    line = Line(f"max(tts_jobs_oldest_queued_seconds{{{HERE}}})", "oldest")
    return graph(about, line, steps=[(3600, RED)])


def _lasted() -> Panel:
    about = About(
        10,
        "How long do jobs take?",
        "From their submission to their end: half of them, and 95 %, are over within so long.",
        "s",
    )
    shares = ((0.5, "half"), (0.95, "95 %"))
    lines = [Line(quantile(share, "tts_job_seconds", MODEL), name) for share, name in shares]
    return graph(about, *lines)


def _webhooks() -> Panel:
    about = About(
        11,
        "Do webhooks arrive?",
        "Tries a minute, by what came of them. `dead` were given up: `tts-router jobs webhooks "
        "list` shows where they were to go.",
        "none",
    )
    tries = f"60 * sum by (result) (rate(tts_webhook_deliveries_total{{{HERE}}}[{STEP}]))"
    return graph(about, Line(tries, "{{result}}"), stacked=True)
