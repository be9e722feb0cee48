"""The objectives, and the panels that show whether they are kept."""

from __future__ import annotations

from grafana.generate.panels import GREEN, RED, YELLOW, About, Line, Panel, graph, number
from grafana.generate.queries import MODEL

LIVE = 'shape!="jobs"'
"""Requests whose callers listen: not the pieces of jobs."""
VALID = f'{LIVE},outcome!~"abandoned|accepted",status_class!="4xx"'
"""Requests that count for availability: neither the caller's fault, nor left, nor jobs."""
SOON_S = "2.0"
"""Seconds to the first sound that the objective allows: a bucket of its histogram."""
SPOKEN_SHARE = 0.995
"""The objective of availability: the part of the valid requests that is spoken to its end."""
SOON_SHARE = 0.95
"""The objective of first audio: the part of what is heard that is heard within `SOON_S`."""


def spoken() -> Panel:
    about = About(
        2,
        "How much of it is spoken?",
        "Requests spoken to their end, of all that were neither the caller's fault nor left by the "
        "caller, over the time that is shown. The objective is 99.5 %.",
        "percentunit",
    )
    whole = f'sum(increase(tts_requests_total{{{MODEL},{LIVE},outcome="spoken"}}[$__range]))'
    valid = f"sum(increase(tts_requests_total{{{MODEL},{VALID}}}[$__range]))"
    steps = [(0.99, YELLOW), (SPOKEN_SHARE, GREEN)]
    return number(about, Line(f"({whole} or vector(0)) / {valid}"), steps=steps, below=RED)


def soon() -> Panel:
    about = About(
        3,
        "How much is heard within 2 s?",
        "Speech whose first sound came within two seconds of its request, over the time that is "
        "shown. The objective is 95 %.",
        "percentunit",
    )
    metric = "tts_first_audio_seconds"
    early = f'sum(increase({metric}_bucket{{{MODEL},le="{SOON_S}"}}[$__range]))'
    heard = f"sum(increase({metric}_count{{{MODEL}}}[$__range]))"
    steps = [(0.9, YELLOW), (SOON_SHARE, GREEN)]
    return number(about, Line(f"{early} / {heard}"), steps=steps, below=RED)


def budget() -> Panel:
    about = About(
        9,
        "How fast is the error budget spent?",
        "1 spends exactly what the objectives allow in 30 days. The alerts page at 14.4 and at 6 "
        "(dashed), and ask to be looked at tomorrow from 1 on.",
        "none",
    )
    lines = [
        Line(f'job:{name}:ratio_rate{window}{{job=~"$job"}} / {allowed:.3g}', f"{told}, {window}")
        for name, allowed, told in (
            ("tts_requests_failing", 1 - SPOKEN_SHARE, "not spoken"),
            ("tts_first_audio_late", 1 - SOON_SHARE, "heard late"),
        )
        for window in ("1h", "6h")
    ]
    return graph(about, *lines, steps=[(1, YELLOW), (6, RED)])
