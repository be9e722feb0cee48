"""What a comparison of two sets of parts has found; it is printed as JSON."""

from __future__ import annotations

import msgspec


class Forced(msgspec.Struct, frozen=True, kw_only=True):
    """The other is made to say what the shipped graphs said, step by step."""

    hidden_snr_db: float
    hidden_worst: float
    stop_agreement: float
    """Share of steps at which both go on, or both end."""
    first_code_agreement: float
    code_agreement: float
    """Share of equal codes, of those that were chosen in equal circumstances."""


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """What one set of parts makes of all sentences when it speaks freely."""

    utterances: int
    """Sentences times seeds."""
    frames_mean: float
    frames_median: float
    stopped_rate: float
    """Share of utterances that the model itself has ended."""
    fault_rates: dict[str, float]
    """Share of utterances with each fault that the guards know: `silence`, `loop`, `runaway`,
    `cut`."""
    silent_share: float
    """Share of frames below -45 dB."""
    longest_silence_s: float


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence; frames and faults (an empty word: none) are by seed."""

    name: str
    voice: str
    frames: tuple[int, ...]
    frames_other: tuple[int, ...]
    faults: tuple[str, ...]
    faults_other: tuple[str, ...]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What `models compare` prints as JSON."""

    mode: str
    seeds: tuple[int, ...]
    forced: Forced
    frames_ratio: float
    """Frames that the other speaks for one of the shipped graphs."""
    shipped: Spoken
    other: Spoken
    sentences: tuple[Line, ...]
