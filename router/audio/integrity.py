"""Whether what a provider gave can be the speech of its text.

A judge hears 16-bit samples as they come and keeps a few numbers of every 20 ms. It knows nothing
of words: it compares length, loudness and repetition with what the text lets expect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from router.audio.pace import Expected, expected
from router.settings.integrity import Integrity

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float32]]

__all__ = ["Expected", "Finding", "Judge", "What", "expected"]

What = Literal["empty", "silent", "too_short", "too_long", "loop"]

_FRAME_S = 0.02
_GATHER = 25
"""Frames that are waited for once sound may leave: as many are measured as quickly as one."""
_SLICE = 50
"""Frames that are measured together, at most: memory stays small whatever comes at once."""
_CLICK = 1
"""Frames of sound that are not yet speech."""
_PAUSE = 50
"""Frames of a silence between two sounds that count as speech."""
_PERIODS = 15, 200
"""Frames of the shortest and the longest period of a loop. A shorter one is found by its
multiples."""

_ENOUGH = 320
"""Samples of a frame that are looked at; of more only every second, every third. Folded spectra
have the same energy."""
_FULL_SCALE_DB = 90.31
"""Of a signal that is always at 32,768."""


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a speech."""

    kind: What
    hard: bool
    """Certain; otherwise only very unlikely to be the speech of its text."""
    message: str
    """For people; nothing of the text is in it."""


class Judge:
    """Hears one speech. Each finding is told once: by `feed` as soon as it is found, or by
    `finish`."""

    def __init__(self, expected: Expected, settings: Integrity) -> None:
        self._expected = expected
        self._settings = settings
        self._longest_s = settings.longest * expected.most_s + settings.slack_s
        self._seconds = 0.0
        self._format = 0, 0
        self._rest = b""
        self._pulse = _Pulse(settings.silence_db, settings.steady_db)
        self._echo = _Echo(settings.silence_db, round(settings.loop_s / _FRAME_S))
        self._loops = False
        self._told: set[tuple[What, bool]] = set()

    @property
    def seconds(self) -> float:
        """Seconds of audio that were fed."""
        return self._seconds

    @property
    def may_leave(self) -> bool:
        """Whether sound was heard, or enough was judged to let go what has come."""
        return self._pulse.sounding > 0 or self._seconds >= self._settings.hold_s

    def feed(self, pcm: bytes, sample_rate: int, channels: int) -> Finding | None:
        """Hear samples: signed 16-bit little-endian, interleaved, cut anywhere at whole frames."""
        if (sample_rate, channels) != self._format:
            self._format, self._rest = (sample_rate, channels), b""
        self._seconds += len(pcm) / (2 * channels * sample_rate)
        if not self._hear(pcm, _GATHER if self.may_leave else 1):
            return None
        return self._told_first(self._doubts())

    def finish(self) -> Finding | None:
        """The speech is at its end, and can be judged as a whole."""
        if self._rest:
            self._hear(b"", 1)
        return self._told_first([*self._verdicts(), *self._doubts()])

    def _hear(self, pcm: bytes, least: int) -> bool:
        """Measure what is there, if it is at least so many frames; the rest waits."""
        rate, channels = self._format
        width = round(rate * _FRAME_S)
        data = self._rest + pcm if self._rest else pcm
        count = len(data) // (2 * channels * width)
        if count < least:
            self._rest = data
            return False
        for start in range(0, count, _SLICE):
            loudness, colour = _measured(data, start, min(_SLICE, count - start), width, channels)
            self._pulse.feed(loudness.tolist())
            self._echo.feed(loudness, colour)
            if not self._loops and self._pulse.seconds > self._loops_after_s and self._echo.is_due:
                self._loops = self._echo.likeness() >= self._settings.loop_likeness
        self._rest = data[count * 2 * channels * width :]
        return True

    @property
    def _loops_after_s(self) -> float:
        return self._expected.most_s + self._settings.slack_s

    def _told_first(self, findings: Iterable[Finding]) -> Finding | None:
        for finding in findings:
            if (finding.kind, finding.hard) not in self._told:
                self._told.add((finding.kind, finding.hard))
                return finding
        return None

    def _verdicts(self) -> Iterator[Finding]:
        """What can be said of the whole only."""
        if not self._seconds:
            yield Finding("empty", True, "it gave no audio at all")
        elif self._expected.characters:
            if self._pulse.sounding <= _CLICK:
                told = f"it was silent throughout, for {self._seconds:.1f} s"
                yield Finding("silent", True, told)
            heard_s, least_s = self._pulse.heard_s, self._expected.least_s
            told = f"{heard_s:.1f} s of sound are too few for a text that needs {least_s:.1f} s"
            if heard_s < self._settings.absurd * least_s:
                yield Finding("too_short", True, told)
            elif heard_s < self._settings.shortest * least_s:
                yield Finding("too_short", False, told)

    def _doubts(self) -> Iterator[Finding]:
        """What can be said at any time."""
        stretch = self._expected.stretch
        if self._pulse.steady_s >= self._settings.steady_s * stretch:
            told = f"it is stuck on one sound, for {self._pulse.steady_s:.1f} s"
            yield Finding("loop", False, told)
        if self._loops:
            yield Finding("loop", False, "it repeats itself beyond the time for its text")
        if self._pulse.quiet_s >= self._settings.quiet_s * stretch:
            told = f"it fell silent in its audio, for {self._pulse.quiet_s:.1f} s"
            yield Finding("silent", False, told)
        if self._seconds > self._longest_s:
            told = f"{self._seconds:.0f} s are more than its text can take"
            yield Finding("too_long", False, told)


class _Pulse:
    """Sound and silence, frame after frame."""

    def __init__(self, silence_db: float, steady_db: float) -> None:
        self._silence_db = silence_db
        self._steady_db = steady_db
        self._frames = self._heard = self._quiet = self._steady = 0
        self._longest_quiet = self._longest_steady = 0
        self._softest = self._loudest = silence_db
        self.sounding = 0
        """Frames that are not silent."""

    def feed(self, loudness: list[float]) -> None:
        """Loudness of each frame in dBFS."""
        self._frames += len(loudness)
        for level in loudness:
            if level < self._silence_db:
                self._quiet += 1
                self._longest_quiet = max(self._longest_quiet, self._quiet)
            else:
                if self.sounding:
                    self._heard += min(self._quiet, _PAUSE)
                self.sounding += 1
                self._heard += 1
                self._quiet = 0
            self._follow(max(level, self._silence_db))

    def _follow(self, level: float) -> None:
        """Plain silence is steady too, but it is no sound."""
        softest, loudest = min(self._softest, level), max(self._loudest, level)
        if loudest - softest <= self._steady_db:
            self._steady += 1
            self._softest, self._loudest = softest, loudest
        else:
            self._steady, self._softest, self._loudest = 1, level, level
        if self._steady > self._quiet:
            self._longest_steady = max(self._longest_steady, self._steady)

    @property
    def seconds(self) -> float:
        return self._frames * _FRAME_S

    @property
    def heard_s(self) -> float:
        """Sound, and the pauses in it up to a second each."""
        return self._heard * _FRAME_S

    @property
    def quiet_s(self) -> float:
        """The longest silence."""
        return self._longest_quiet * _FRAME_S

    @property
    def steady_s(self) -> float:
        """The longest time for which a sound kept its loudness."""
        return self._longest_steady * _FRAME_S


class _Echo:
    """The latest seconds, and whether they repeat themselves."""

    def __init__(self, silence_db: float, frames: int) -> None:
        import numpy as np  # noqa: PLC0415  # loaded by whoever decodes

        self._np = np
        self._silence_db = silence_db
        self._shape: Floats = np.zeros((2, frames), np.float32)
        self._filled = self._since = 0

    def feed(self, loudness: Floats, colour: Floats) -> None:
        np, count = self._np, len(loudness)
        self._shape[:, :-count] = self._shape[:, count:]
        self._shape[0, -count:] = np.maximum(loudness, self._silence_db)
        self._shape[1, -count:] = np.where(loudness < self._silence_db, 0, colour)
        self._filled += count
        self._since += count

    @property
    def is_due(self) -> bool:
        """Whether two seconds have passed since the last look."""
        return self._filled >= self._shape.shape[1] and self._since >= 2 * _SLICE

    def likeness(self) -> float:
        """How much they are like themselves one period earlier, at the best of all periods."""
        self._since = 0
        np = self._np
        kernel = np.ones(3, np.float32) / 3  # a period need not be a whole number of frames
        smooth = np.stack([np.convolve(row, kernel, "valid") for row in self._shape])
        smooth -= smooth.mean(axis=1, keepdims=True)
        smooth /= np.maximum(smooth.std(axis=1, keepdims=True), 1.0)
        power = np.square(smooth).sum(axis=0).cumsum()
        count = len(power)
        lags = np.arange(_PERIODS[0], min(_PERIODS[1], count // 3) + 1)
        spectrum = np.fft.rfft(smooth, 2 * count)  # of twice the length: nothing wraps around
        alike = np.fft.irfft(np.square(np.abs(spectrum)), 2 * count).sum(axis=0)[lags]
        earlier, later = power[count - 1 - lags], power[-1] - power[lags - 1]
        return float((alike / np.sqrt(np.maximum(earlier * later, 1.0))).max())


def _measured(
    data: bytes, start: int, count: int, width: int, channels: int
) -> tuple[Floats, Floats]:
    """Loudness of each frame in dBFS, and its colour in dB: high against low. A constant offset is
    no sound; of the channels the louder one counts."""
    import numpy as np  # noqa: PLC0415

    size = width * channels
    samples = np.frombuffer(data, "<i2", count * size, 2 * start * size).reshape(count, size)
    every = channels * max(1, width // _ENOUGH)
    power = change = np.zeros(count, np.float32)
    for channel in range(channels):
        x = samples[:, channel::every].astype(np.float32)
        energy = np.einsum("fw,fw->f", x, x)
        nearby = np.einsum("fw,fw->f", x[:, 1:], x[:, :-1])
        ends = np.square(x[:, 0]) + np.square(x[:, -1])
        power = np.maximum(power, energy / x.shape[1] - np.square(x.mean(axis=1)))
        change = np.maximum(change, (2 * (energy - nearby) - ends) / x.shape[1])
    floor = np.float32(1e-3)
    loudness = 10 * np.log10(power + floor)
    colour = 10 * np.log10(change + floor) - loudness
    return loudness - _FULL_SCALE_DB, colour
