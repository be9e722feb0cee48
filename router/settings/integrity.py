"""From when on sound is no longer taken for speech: every threshold that is judged by."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Decibels = Annotated[float, Meta(ge=-120, le=0)]
Span = Annotated[float, Meta(gt=0, le=3600)]


class Integrity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When audio is not taken for the speech that was asked for.

    Set on 52,000 s of espeak-ng in 60 languages, one letter to 4,096 characters, a quarter to four
    times its speed, and on recorded voices (2026-11-21): no alarm, and each key says what came
    nearest to it. Lengths are held against what the text needs; see `router.audio.pace`.
    """

    judges: bool = True
    """Whether what is decoded here is judged at all. What passes through never is."""
    hold_s: Annotated[float, Meta(gt=0, le=0.3)] = 0.3
    """Seconds of audio that are judged before they may leave when they begin in silence."""
    breaks: bool = False
    """Whether doubt alone (`too_short`, `too_long`, a `loop`, a long silence) breaks off speech of
    which something has left. What is certain always does."""

    silence_db: Decibels = -60.0
    """Loudness of 20 ms, in dBFS (RMS), below which they are silence. Nearest: the peak of
    a hissed «Psst!», at -29; that of most speech is at -20 to -8."""
    quiet_s: Span = 6.0
    """Seconds of silence on end that nobody pauses for; a speed below one stretches them. Nearest:
    1.2, between paragraphs."""

    shortest: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Part of the least time for the text below which speech is doubted. Pauses count up to one
    second each. Nearest: 0.80, a word of two letters; 0.87, a sentence in French."""
    absurd: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """The same, below which it is certainly not the whole text."""
    longest: Annotated[float, Meta(ge=1, le=100)] = 1.5
    """Multiple of the most time for the text above which speech is doubted, with `slack_s` added.
    Nearest: 37 % of that, in Chinese."""
    slack_s: Annotated[float, Meta(ge=0, le=600)] = 4.0
    """Seconds that any text may take beyond what its letters need: breaths, a slow start, a word
    that is spelt out. A loop is looked for only beyond the most time and this."""

    steady_s: Span = 6.0
    """Seconds on end of one loudness that no voice holds: a stuck tone, hum or noise; a speed below
    one stretches them. Nearest: 0.8."""
    steady_db: Annotated[float, Meta(gt=0, le=60)] = 6.0
    """How far apart in decibels the loudest and the softest 20 ms of such a sound may be."""

    loop_s: Annotated[float, Meta(ge=6, le=60)] = 12.0
    """Seconds of audio that must repeat themselves. Looked for beyond the most time for the text
    only (nearest: 56 % of it), because some texts do repeat themselves."""
    loop_likeness: Annotated[float, Meta(gt=0, le=1)] = 0.85
    """How much they are like themselves one period (0.3 to 4 s) earlier; 1 is the same. Sentences
    come to 0.51, counting to 0.71, loops of them to 0.93 and more."""
