"""Who speaks, who does not, and why: a dashboard of the providers."""

from __future__ import annotations

from grafana.generate.board import BY_PROVIDER, Board, Row
from grafana.generate.panels import BLUE, GREEN, RED, YELLOW, About, Line, Panel, graph, states
from grafana.generate.queries import PROVIDER, STEP, quantile, rate


def providers() -> Board:
    return Board(
        "tts-providers",
        "Speech: providers",
        "Who speaks, how fast and how well, who is left alone, and who speaks instead?",
        [BY_PROVIDER],
        [
            Row("Who is there?", [_on(), _breakers()]),
            Row("How do they do?", [_attempts(), _first(), _pace(), _full()]),
            Row("What became of it?", [_passed(), _voices(), _broken()]),
        ],
    )


def _on() -> Panel:
    about = About(
        1,
        "Who is on?",
        "On: it may be asked. Not ready: it is still starting or fetching its model. Off: the "
        "config lacks something, mostly a key; /health/ready tells what.",
        "none",
    )
    on = f'2 * tts_provider_state{{{PROVIDER},state="on"}}'
    half = f'tts_provider_state{{{PROVIDER},state="not_ready"}}'
    line = Line(f"max by (provider) ({on} or {half})", "{{provider}}")
    return states(about, line, named={0: ("off", BLUE), 1: ("not ready", YELLOW), 2: ("on", GREEN)})


def _breakers() -> Panel:
    about = About(
        2,
        "Who is left alone?",
        "Open: it failed so often of late that nobody asks it. Half open: the next request is on "
        "trial. Shown once a model was asked.",
        "none",
    )
    open_ = f'2 * tts_breaker_state{{{PROVIDER},state="open"}}'
    half = f'tts_breaker_state{{{PROVIDER},state="half_open"}}'
    by = "provider, upstream_model"
    line = Line(f"max by ({by}) ({open_} or {half})", "{{provider}} {{upstream_model}}")
    named = {0: ("asked", GREEN), 1: ("on trial", YELLOW), 2: ("left alone", RED)}
    return states(about, line, named=named)


def _attempts() -> Panel:
    about = About(
        3,
        "How do attempts end?",
        "Times a second that a provider was asked, by what came of it: spoken, abandoned by the "
        "caller, or the word of its error.",
        "reqps",
    )
    ends = rate("tts_attempts_total", PROVIDER, "provider", "result")
    return graph(about, Line(ends, "{{provider}}: {{result}}"), stacked=True)


def _first() -> Panel:
    about = About(
        4,
        "How soon does each make a sound?",
        "From being asked to the first sound, without waiting for a slot: 95 % come within so "
        "long. From 10 s on (`outlook.slow_s`) it counts as slow, and too many open the breaker.",
        "s",
    )
    late = quantile(0.95, "tts_provider_first_audio_seconds", PROVIDER, "provider")
    return graph(about, Line(late, "{{provider}}"), steps=[(10, RED)])


def _pace() -> Panel:
    about = About(
        5,
        "Who is slower than it is heard?",
        "The real-time factor: seconds of work for a second of audio. Above 1 (dashed) the "
        "listener hears gaps.",
        "none",
    )
    work = rate("tts_provider_work_seconds_total", PROVIDER, "provider")
    audio = rate("tts_provider_audio_seconds_total", PROVIDER, "provider")
    return graph(about, Line(f"{work} / ({audio} > 0)", "{{provider}}"), steps=[(1, RED)])


def _full() -> Panel:
    about = About(
        6,
        "Who is full?",
        "Speeches at once in a provider as a part of its slots, and how many wait for one. At "
        "100 % the next ones wait, or go to the next provider.",
        "percentunit",
    )
    used = f"sum by (provider) (tts_slots_in_use{{{PROVIDER}}})"
    free = f"sum by (provider) (tts_slots_free{{{PROVIDER}}})"
    return graph(about, Line(f"{used} / ({used} + {free})", "{{provider}}"), most=1)


def _passed() -> Panel:
    about = About(
        7,
        "Who is passed over, and why?",
        "Times a second that another had to speak instead, by who did not and why. `resting`: it "
        "is left alone. `no_voice` and the like: it cannot serve such a request. Who is switched "
        "off is not shown.",
        "reqps",
    )
    why = rate("tts_fallbacks_total", f'{PROVIDER},reason!="off"', "provider", "reason")
    return graph(about, Line(why, "{{provider}}: {{reason}}"), stacked=True)


def _voices() -> Panel:
    about = About(
        8,
        "Where does the voice change?",
        "Times a second that speech came in another voice than was wanted: after a fallback, by "
        "language and gender, a preset for a voice sample, or in mid-speech.",
        "reqps",
    )
    why = rate("tts_voice_substitutions_total", PROVIDER, "provider", "reason")
    return graph(about, Line(why, "{{provider}}: {{reason}}"), stacked=True)


def _broken() -> Panel:
    about = About(
        9,
        "Whose speech breaks off, or is doubted?",
        "Times a second that speech ended in the middle, went on with another provider, or was not "
        "the speech of its text: empty, silent, too short, too long, or a loop.",
        "reqps",
    )
    return graph(
        about,
        Line(rate("tts_streams_broken_total", PROVIDER, "provider"), "{{provider}}: broken off"),
        Line(
            f"sum by (instead_of) (rate(tts_pieces_resumed_total[{STEP}]))",
            "{{instead_of}}: another went on",
        ),
        Line(
            rate("tts_speech_doubts_total", PROVIDER, "provider", "finding"),
            "{{provider}}: {{finding}}",
        ),
        width=24,
    )
