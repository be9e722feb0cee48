"""From a voice sample to the stretch of it that tells the most of a voice."""

from __future__ import annotations

import numpy as np

from providers.moss_tts_nano.parts import Floats
from router.contract.errors import Refused

LONGEST_S = 15.0
"""Beyond, a prompt grows and the voice does not get better (the model's own voices are 2.6 to
17.4 s)."""
SHORTEST_CUT_S = 10.0
"""A longer sample is cut in a pause between here and the longest."""
SHORTEST_S = 1.0
"""Less says too little of a voice."""
QUIETEST_DB = -50.0
"""Loudness of its speech, in dB of full scale, below which a sample is taken for silence."""
WANTED_DB = -26.0
"""Where a quieter sample is raised to, as far as its peaks allow: the model speaks as loud as its
prompt."""
_PEAK = 0.95
_WINDOW_S = 0.02
_BELOW_SPEECH_DB = 30.0
"""So far below its speech a sample is silent at its ends."""
_MARGIN_S = 0.1
"""Silence that stays at the ends: a sound begins softly."""


def useful(samples: Floats, rate: int) -> Floats:
    """The part to encode, float32 [2, length]: without silence at its ends, raised if it is quiet,
    cut in a pause if it is long. `samples` float32 [2, length].

    Raises:
        Refused: it is silent, or too short.
    """
    window = round(rate * _WINDOW_S)
    loud_db = _loudness_db(samples, window)
    speech_db = _speech_db(loud_db)
    if speech_db < QUIETEST_DB:
        raise Refused("the voice sample is silent, or nearly so.")
    part = samples[:, _spoken(loud_db > speech_db - _BELOW_SPEECH_DB, window, rate)]
    if part.shape[1] < SHORTEST_S * rate:
        raise Refused(f"the voice sample has less than {SHORTEST_S:g} s of speech.")
    part = part[:, : _end(part, window, rate)]
    return np.ascontiguousarray(part * _gain(part, speech_db), dtype=np.float32)


def _loudness_db(samples: Floats, window: int) -> Floats:
    """RMS of each window, [windows]."""
    count = max(1, samples.shape[1] // window)
    whole = samples[:, : count * window].astype(np.float64)
    power = (whole * whole).mean(axis=0).reshape(count, -1).mean(axis=1)
    loud: Floats = (10 * np.log10(np.maximum(power, 1e-12))).astype(np.float32)
    return loud


def _speech_db(loud_db: Floats) -> float:
    """How loud its speech is, whatever the pauses and clicks: the middle of its loudest second."""
    return float(np.median(np.sort(loud_db)[-round(1 / _WINDOW_S) :]))


def _spoken(is_loud: np.ndarray[tuple[int], np.dtype[np.bool_]], window: int, rate: int) -> slice:
    """From the first sound to the last."""
    loud = np.flatnonzero(is_loud)
    margin = round(_MARGIN_S * rate)
    return slice(max(0, int(loud[0]) * window - margin), (int(loud[-1]) + 1) * window + margin)


def _end(part: Floats, window: int, rate: int) -> int:
    """Where a long part is cut: in the middle of its quietest fifth of a second."""
    if part.shape[1] <= LONGEST_S * rate:
        return int(part.shape[1])
    first = round(SHORTEST_CUT_S * rate)
    loud_db = _loudness_db(part[:, first : round(LONGEST_S * rate)], window)
    width = min(len(loud_db), round(0.2 / _WINDOW_S))
    calm = np.convolve(loud_db, np.ones(width) / width, mode="valid")
    return first + (int(np.argmin(calm)) + width // 2) * window


def _gain(part: Floats, speech_db: float) -> np.float32:
    """Never less than 1: a loud sample stays as it is."""
    peak = float(np.abs(part).max())
    raised = 10 ** ((WANTED_DB - speech_db) / 20)
    return np.float32(max(1.0, min(raised, _PEAK / peak))) if peak > 0 else np.float32(1)
