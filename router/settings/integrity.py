"""From when on sound is no longer taken for speech: every threshold that is judged by."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Decibels = Annotated[float, Meta(ge=-120, le=0)]
Span = Annotated[float, Meta(gt=0, le=3600)]


class Integrity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When audio is not taken for the speech that was asked for.

    The defaults were set on espeak-ng in 60 languages at half to double speed, one letter to 4,096
    characters (2026-11-21); each says how near the nearest of them came. Lengths are measured
    against what the text needs, which `router.audio.integrity.expected` estimates generously.
    """

    judges: bool = True
    """Whether what is decoded here is judged at all. What passes through never is."""
    hold_s: Annotated[float, Meta(gt=0, le=0.3)] = 0.3
    """Seconds of audio that are judged before they may leave when they begin in silence."""
    breaks: bool = False
    """Whether doubt alone (`too_short`, `too_long`, a `loop`, a long silence) breaks off speech of
    which something has left. What is certain always does."""

    silence_db: Decibels = -60.0
    """Loudness of 20 ms, in dBFS (RMS), below which they are silence. Speech has its peaks at -30
    to -10."""
    quiet_s: Span = 6.0
    """Seconds of silence on end that nobody pauses for, at a speed of one; a lower speed stretches
    them."""

    shortest: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Part of the least time for the text below which speech is doubted. Pauses count up to one
    second each."""
    absurd: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """The same, below which it is certainly not the whole text."""
    longest: Annotated[float, Meta(ge=1, le=100)] = 1.5
    """Multiple of the most time for the text from which on speech is doubted; `slack_s` is added."""
    slack_s: Annotated[float, Meta(ge=0, le=600)] = 4.0
    """Seconds that any text may take more than its letters need, before a loop is looked for, too:
    breaths, a slow start, a word that is spelt out."""

    steady_s: Span = 6.0
    """Seconds on end of one loudness that no voice holds: a stuck tone, hum or noise."""
    steady_db: Annotated[float, Meta(gt=0, le=60)] = 6.0
    """How far apart in decibels the loudest and the softest 20 ms of such a sound are."""

    loop_s: Annotated[float, Meta(ge=6, le=60)] = 12.0
    """Seconds of audio that must repeat themselves. Looked for beyond the most time for the text
    only, because some texts do repeat themselves."""
    loop_likeness: Annotated[float, Meta(gt=0, le=1)] = 0.85
    """How much they are like themselves one period (0.3 to 4 s) earlier: 1 is the same."""
