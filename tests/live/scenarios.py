"""What may go wrong between the router and its providers, and what the caller is to get of it.

Each scenario is one request over real sockets: the router process, its `openai` provider, the fault
proxy, an upstream that speaks numbered words. `tests.live.test_faults` plays them one by one,
`python -m tests.soak faults` prints them as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from router.testing.misbehaving import (
    Behaviour,
    Framing,
    answers,
    babbles,
    hangs_up,
    refuses,
    says_nothing,
    speaks,
)
from tests.support.faults import Fault, cuts, drips, latency, miscounts, resets, stalls
from tests.support.indexed import FIRST, SECOND, route

FIRST_AUDIO_S = 0.5
STALL_S = 0.4
DEADLINE_S = 2.0
SLACK_S = 2.0
"""For a busy machine."""
WORDS = 60
TWIN, IN_WAV = "twin", "first-in-wav"
"""The first one's voice at the second's address; the first one again, which gives WAV."""
WAYS: Mapping[str, Mapping[str, Any]] = {
    "streamed": {"response_format": "pcm"},
    "events": {"response_format": "pcm", "stream_format": "sse"},
    "held": {"response_format": "wav"},
}
IN_PIECES: Mapping[str, Any] = {"pieces": "always", "piece_chars": 60, "voice_change": "any"}
MODELS = {
    "it": route(FIRST, SECOND),
    "alone": route(FIRST),
    "pieces": route(FIRST, SECOND, **IN_PIECES),
    "same-voice": route(FIRST, SECOND, **{**IN_PIECES, "voice_change": "same-voice"}),
    "unheld": route(FIRST, SECOND, **IN_PIECES, hold="none"),
    "twins": route(FIRST, TWIN, **{**IN_PIECES, "voice_change": "same-voice"}),
    "in-wav": route(IN_WAV, SECOND),
}
CONFIG: Mapping[str, Any] = {
    "models": MODELS,
    "timeouts": {
        "first_audio_s": FIRST_AUDIO_S,
        "stall_s": STALL_S,
        "deadline_s": DEADLINE_S,
        "retry_pause_s": 0.02,
    },
}

Plight = Fault | Behaviour | Literal["refuses"]
Heard = Literal["all", "beginning", "nothing"]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A plight of the first provider, maybe of the second, and what is to come of it."""

    name: str
    first: Plight
    second: Plight | None = None
    from_answer: int = 1
    """The first provider's first answer that the plight is of; those before it are well."""
    framing: Framing = "chunked"
    """How the first provider tells the end of its audio, as long as it is well."""
    model: str = "it"
    way: Literal["streamed", "events", "held"] = "streamed"
    within: str | None = None
    """The caller's `X-Request-Timeout`."""
    status: int = 200
    whole: bool = True
    heard: Heard = "all"
    by: str | None = None
    """Who is named as the speaker."""
    fallback: str = "none"
    saw: tuple[int, int] | None = None
    """Requests that each provider saw; `None`: as many as there are pieces."""
    least_s: float = 0.0
    most_s: float = 0.0


_LATE: Mapping[str, Any] = {
    "by": SECOND,
    "fallback": "first=timed_out",
    "saw": (1, 1),
    "least_s": FIRST_AUDIO_S,
}
_BROKEN: Mapping[str, Any] = {"by": SECOND, "fallback": "first=broken", "saw": (1, 1)}
_GONE: Mapping[str, Any] = {"by": SECOND, "fallback": "first=unreachable", "saw": (1, 1)}
_MUTE: Mapping[str, Any] = {"by": SECOND, "fallback": "first=not_speech", "saw": (1, 1)}
_CUT: Mapping[str, Any] = {"by": FIRST, "whole": False, "heard": "beginning", "saw": (1, 0)}
_PIECES: Mapping[str, Any] = {"model": "pieces", "by": FIRST, "from_answer": 3}
_ENDS: Mapping[str, Any] = {"by": FIRST, "whole": False, "heard": "beginning", "from_answer": 3}
_DEAD: Mapping[str, Any] = {"heard": "nothing"}
_IN_MID = 5_000

BEFORE = (
    Scenario(name="all is well", first=Fault(), by=FIRST, saw=(1, 0)),
    Scenario(name="slow, and in time", first=latency(0.2), by=FIRST, saw=(1, 0), least_s=0.2),
    Scenario(name="slow, and too late", first=latency(5), **_LATE),
    Scenario(name="a slow drip", first=drips(2_400, 0.02), by=FIRST, saw=(1, 0), least_s=0.2),
    Scenario(name="connections refused", first="refuses", **{**_GONE, "saw": (0, 1)}),
    Scenario(name="closed instead of an answer", first=cuts(-1), **_GONE),
    Scenario(name="reset instead of an answer", first=resets(-1), **_GONE),
    Scenario(name="never an answer", first=stalls(-1), **_LATE),
    Scenario(name="closed behind the head", first=cuts(0), **_BROKEN),
    Scenario(name="reset behind the head", first=resets(0), **_BROKEN),
    Scenario(name="silent behind the head", first=stalls(0), **_LATE),
    Scenario(name="takes the request and hangs up", first=hangs_up(), **_GONE),
    Scenario(name="takes the request, no more", first=says_nothing(), **_LATE),
    Scenario(name="not HTTP", first=babbles(), **_BROKEN),
    Scenario(name="500", first=refuses(500), **_BROKEN),
    Scenario(name="401", first=refuses(401), by=SECOND, fallback="first=bad_key", saw=(1, 1)),
    Scenario(name="402", first=refuses(402), by=SECOND, fallback="first=no_credit", saw=(1, 1)),
    Scenario(name="400", first=refuses(400), by=SECOND, fallback="first=refused", saw=(1, 1)),
    Scenario(name="JSON instead of audio", first=answers({"audio": "soon"}), **_MUTE),
    Scenario(name="200 without audio", first=speaks(b"", media_type="audio/pcm"), **_MUTE),
    Scenario(
        name="429 that asks for a rest",
        first=refuses(429, headers={"retry-after": "1"}),
        by=SECOND,
        fallback="first=busy",
        saw=(1, 1),
    ),
)
AFTER = (
    Scenario(name="closed in mid-speech", first=cuts(_IN_MID), **_CUT),
    Scenario(name="reset in mid-speech", first=resets(_IN_MID), **_CUT),
    Scenario(name="silent in mid-speech", first=stalls(_IN_MID), **_CUT, least_s=STALL_S),
    Scenario(name="closed in mid-speech, held whole", first=cuts(_IN_MID), way="held", **_BROKEN),
    Scenario(name="reset in mid-speech, held whole", first=resets(_IN_MID), way="held", **_BROKEN),
    Scenario(
        name="silent in mid-speech, held whole",
        first=stalls(_IN_MID),
        way="held",
        **{**_LATE, "least_s": STALL_S},
    ),
    Scenario(name="closed in mid-speech, as events", first=cuts(_IN_MID), way="events", **_CUT),
    Scenario(
        name="less than its length says",
        first=miscounts(400),
        framing="length",
        **{**_CUT, "heard": "all"},
    ),
    Scenario(
        name="less than its length says, held whole",
        first=miscounts(400),
        framing="length",
        way="held",
        **_BROKEN,
    ),
    Scenario(
        name="a WAV shorter than its header says",
        first=Fault(more=-4_000, at_once=4_800, every_s=0.02),  # its beginning is heard alone
        framing="length",
        model="in-wav",
        **{**_CUT, "by": IN_WAV},
    ),
    Scenario(
        name="a WAV shorter than its header says, held whole",
        first=miscounts(-4_000),
        framing="length",
        model="in-wav",
        way="held",
        **{**_BROKEN, "fallback": f"{IN_WAV}=broken"},
    ),
)
NOBODY = (
    Scenario(
        name="both refuse connections",
        first="refuses",
        second="refuses",
        status=502,
        **_DEAD,
        fallback="first=unreachable, second=unreachable",
        saw=(0, 0),
    ),
    Scenario(
        name="both hang: one deadline spans all attempts",
        first=stalls(-1),
        second=stalls(-1),
        status=504,
        **_DEAD,
        fallback="first=timed_out, second=timed_out",
        least_s=2 * FIRST_AUDIO_S,
        most_s=DEADLINE_S,
    ),
    Scenario(
        name="both hang, X-Request-Timeout 0.7",
        first=stalls(-1),
        second=stalls(-1),
        within="0.7",
        status=504,
        **_DEAD,
        fallback="first=timed_out, second=timed_out",
        saw=(1, 1),
        least_s=0.7,
        most_s=0.7,
    ),
    Scenario(
        name="both answer 500",
        first=refuses(500),
        second=refuses(500),
        status=502,
        **_DEAD,
        fallback="first=broken, second=broken",
        saw=(1, 1),
    ),
    Scenario(
        name="both refuse the request",
        first=refuses(400),
        second=refuses(422),
        status=400,
        **_DEAD,
        fallback="first=refused, second=refused",
        saw=(1, 1),
    ),
)
PIECES = (
    Scenario(name="pieces: all is well", first=Fault(), **_PIECES),
    Scenario(name="pieces: closed in the third", first=cuts(1_000), **_PIECES),
    Scenario(name="pieces: reset in the third", first=resets(1_000), **_PIECES),
    Scenario(name="pieces: silent in the third", first=stalls(1_000), **_PIECES, least_s=STALL_S),
    Scenario(name="pieces: never answers the third", first=stalls(-1), **_PIECES),
    Scenario(name="pieces: 500 to the third", first=refuses(500), **_PIECES),
    Scenario(
        name="pieces: closed in the third, as events", first=cuts(999), way="events", **_PIECES
    ),
    Scenario(name="pieces: closed in the third, held whole", first=cuts(9), way="held", **_PIECES),
    Scenario(
        name="pieces, same voice only: dead from the third on",
        first=cuts(1_000),
        model="same-voice",
        **_ENDS,
        saw=None,
    ),
    Scenario(
        name="pieces, same voice only: dead from the third on, as events",
        first=cuts(1_000),
        model="same-voice",
        way="events",
        **_ENDS,
    ),
    Scenario(
        name="pieces, same voice only: dead from the third on, and the same voice elsewhere",
        first=cuts(1_000),
        **{**_PIECES, "model": "twins"},
    ),
    Scenario(
        name="pieces, not held: closed in the third", first=cuts(1_000), model="unheld", **_ENDS
    ),
)
ALL = (*BEFORE, *AFTER, *NOBODY, *PIECES)
