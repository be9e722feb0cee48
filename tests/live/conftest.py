"""One server process with a cast of providers, each of whom fails in a way of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.process import ServerProcess, serving
from tests.support.scripts import NO_REST, SCRIPTED, UNJUDGED, models, scripted

GOOD = "good"
CAST = {
    GOOD: scripted(seconds=0.5),
    # who never makes a sound
    "refused": scripted(fail="refused"),
    "busy": scripted(fail="busy", retry_after_s=7),
    "not_ready": scripted(fail="not_ready"),
    "bad_key": scripted(fail="bad_key"),
    "no_credit": scripted(fail="no_credit"),
    "unreachable": scripted(fail="unreachable"),
    "timed_out": scripted(fail="timed_out"),
    "broken": scripted(fail="broken"),
    "not_speech": scripted(fail="not_speech"),
    "bug": scripted(fail="bug"),
    "silent": scripted(silent=True),
    "mute": scripted(hang_after_s=0),
    "mute-too": scripted(hang_after_s=0),
    # who breaks off
    "cut": scripted(fail="broken", fail_after_s=0.2),
    "crashing": scripted(fail="bug", fail_after_s=0.2),
    "stalling": scripted(hang_after_s=0.2),
    # who is in time, and for ever
    "endless": scripted(seconds=1e6, pace=0.2),
}
ROUTES = {
    **{name: (name,) for name in CAST},
    **{f"{name}-then-good": (name, GOOD) for name in CAST if name != GOOD},
    "two-mutes": ("mute", "mute-too"),
    "two-refusals": ("refused", "refused"),
    "busy-or-loading": ("busy", "not_ready"),
    "mixed": ("refused", "busy", "broken"),
}
FIRST_AUDIO_S = 0.6
DEADLINE_S = 1.0
STALL_S = 0.3
TOTAL_S = 2.0


@pytest.fixture(scope="package")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server: a model for each member of the cast alone, and for each before the good one."""
    timeouts = {
        "first_audio_s": FIRST_AUDIO_S,
        "deadline_s": DEADLINE_S,
        "stall_s": STALL_S,
        "total_s": TOTAL_S,
    }
    config = {
        "integrity": UNJUDGED,
        "outlook": NO_REST,
        "providers": CAST,
        "models": models(ROUTES),
        "timeouts": timeouts,
    }
    with serving(config, tmp_path_factory.mktemp("cast"), plugins=[SCRIPTED]) as server:
        yield server
