"""The first dashboard at night: is speech arriving, how fast, who fails, and what does it cost?"""

from __future__ import annotations

from grafana.generate.board import BY_MODEL, Board, Row
from grafana.generate.objectives import SOON_S, budget, soon, spoken
from grafana.generate.panels import GREEN, RED, YELLOW, About, Line, Panel, graph, number
from grafana.generate.queries import (
    HERE,
    MODEL,
    STEP,
    quantile,
    rate,
)


def overview() -> Board:
    return Board(
        "tts-overview",
        "Speech: overview",
        "Is speech arriving, how fast, who refuses, who fails, and what does it cost?",
        [BY_MODEL],
        [
            Row("Now", [_up(), _ready(), spoken(), soon(), _config(), _firing()]),
            Row("Is it arriving?", [_arriving(), _heard()]),
            Row("Who refuses, who fails?", [_refused(), _failed(), budget(), _waits()]),
            Row("What does it cost?", [_audio(), _cost(), _once(), _process()]),
        ],
    )


def _up() -> Panel:
    about = About(
        16,
        "Are the routers up?",
        "How many of the routers that are to be scraped answered the last scrape.",
        "percentunit",
    )
    line = Line(f"avg(up{{{HERE}}})")
    return number(about, line, steps=[(0.01, YELLOW), (1, GREEN)], below=RED)


def _ready() -> Panel:
    about = About(
        1,
        "Can it speak?",
        "How many of the routers say that they are ready. Below 100 % some answer 503: their "
        "/health/ready tells why.",
        "percentunit",
    )
    line = Line(f"avg(tts_ready{{{HERE}}})")
    return number(about, line, steps=[(0.01, YELLOW), (1, GREEN)], below=RED)


def _config() -> Panel:
    about = About(
        15,
        "Is the config in force?",
        "How many of the routers took the config that they read last. Below 100 % some go on with "
        "the one before: their log tells the mistake.",
        "percentunit",
    )
    line = Line(f"avg(tts_config_reload_success{{{HERE}}})")
    return number(about, line, steps=[(1, GREEN)], below=RED)


def _firing() -> Panel:
    about = About(
        4,
        "How many alerts fire?",
        "What each of them means, and what to do: grafana/README.md.",
        "none",
    )
    firing = 'count(ALERTS{alertstate="firing",job=~"$job"}) or vector(0)'
    return number(about, Line(firing), steps=[(1, RED)])


def _arriving() -> Panel:
    about = About(
        5,
        "Is speech arriving?",
        "Requests a second, by how they ended: spoken, refused before anybody was asked, failed "
        "before the first sound, broken after it, abandoned by the caller.",
        "reqps",
    )
    line = Line(rate("tts_requests_total", MODEL, "outcome"), "{{outcome}}")
    return graph(about, line, stacked=True)


def _heard() -> Panel:
    about = About(
        6,
        "How soon is it heard?",
        "From the request to its first sound: half of the speech, 95 % and 99 % of it are heard "
        "within so long. The dashed line is the objective for 95 %.",
        "s",
    )
    shares = ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))
    lines = [
        Line(quantile(share, "tts_first_audio_seconds", MODEL), name) for share, name in shares
    ]
    return graph(about, *lines, steps=[(float(SOON_S), RED)])


def _refused() -> Panel:
    about = About(
        7,
        "Who is refused, and why?",
        "Requests a second that were refused before anybody was asked, by reason. Many "
        "`overloaded`: the router is full. Many `rate_limited`: a caller is beyond a limit. Empty: "
        "nobody.",
        "reqps",
    )
    selection = f'{MODEL},outcome="refused"'
    line = Line(rate("tts_requests_unspoken_total", selection, "reason"), "{{reason}}")
    return graph(about, line, stacked=True)


def _failed() -> Panel:
    about = About(
        8,
        "What fails, and why?",
        "Requests a second that nobody could speak, or that broke off after their first sound. "
        "Empty: none.",
        "reqps",
    )
    selection = f'{MODEL},outcome=~"failed|broken"'
    reasons = rate("tts_requests_unspoken_total", selection, "outcome", "reason")
    return graph(about, Line(reasons, "{{outcome}}: {{reason}}"), stacked=True)


def _waits() -> Panel:
    about = About(
        10,
        "Where does the time go?",
        "95 % of the requests wait at most so long for a place in the server and for a provider's "
        "slot, hear the provider's first sound after so long, and are over after so long.",
        "s",
    )
    waits = [
        Line(
            quantile(0.95, "tts_queue_wait_seconds", f'{HERE},queue="{queue}"'),
            f"wait for a {queue}",
        )
        for queue in ("place", "slot")
    ]
    first = quantile(0.95, "tts_provider_first_audio_seconds", HERE)
    whole = quantile(0.95, "tts_request_seconds", f'{MODEL},outcome="spoken"')
    return graph(about, *waits, Line(first, "provider's first sound"), Line(whole, "all of it"))


def _audio() -> Panel:
    about = About(
        11,
        "Who speaks how much?",
        "Seconds of audio made each second for callers, by provider: 2 is like two voices that "
        "never pause. Compressed speech that passes through unread is not in it.",
        "none",
    )
    line = Line(rate("tts_audio_seconds_total", MODEL, "provider"), "{{provider}}")
    return graph(about, line, stacked=True)


def _cost() -> Panel:
    about = About(
        12,
        "What does an hour cost?",
        "What each provider takes from us by its listed cost, and the credits that callers are "
        "charged, at the present rate for an hour.",
        "none",
    )
    paid = rate("tts_provider_cost_total", HERE, "provider", "currency")
    charged = f"sum(rate(tts_credits_charged_total{{{MODEL}}}[{STEP}]))"
    return graph(
        about,
        Line(f"3600 * {paid}", "{{provider}} takes ({{currency}})"),
        Line(f"3600 * {charged}", "callers pay (credits)"),
    )


def _once() -> Panel:
    about = About(
        13,
        "What was not made twice, and what was?",
        "Requests a second answered from the cache, with somebody else's speech of the same text, "
        "or with the answer to the same Idempotency-Key; and those for which a second provider was "
        "asked as well, because the first was late.",
        "reqps",
    )
    counted = (
        ("cache_requests_total", ',result="hit"', "from the cache"),
        ("coalesced_total", "", "said with another's"),
        ("repeats_total", "", "same Idempotency-Key"),
        ("hedges_total", "", "asked twice"),
    )
    lines = [
        Line(f"sum(rate(tts_{name}{{{MODEL}{only}}}[{STEP}])) or vector(0)", told)
        for name, only, told in counted
    ]
    return graph(about, *lines)


def _process() -> Panel:
    about = About(
        14,
        "Is the process itself well?",
        "How late timers of the event loop are: 99 % of them at most so much. Above 50 ms "
        "something blocks it, or the machine is short of CPU; every speech then stutters.",
        "s",
    )
    line = Line(quantile(0.99, "tts_event_loop_delay_seconds", HERE, "instance"), "{{instance}}")
    return graph(about, line, steps=[(0.05, RED)])
