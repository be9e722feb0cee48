"""The script of a whole server process, as settings of the kind `scripted`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from router.contract.audio import AudioFormat, Encoding
from router.contract.errors import (
    BadKey,
    Broken,
    Busy,
    NoCredit,
    NotReady,
    NotSpeech,
    ProviderError,
    Refused,
    TimedOut,
    Unreachable,
)
from router.contract.speech import Capabilities, SpeechOrder, Voice
from router.testing.script import Act, Hang, Pause, Raise, Script, Step, Tone
from router.testing.tone import RATE

DEFAULT_FORMATS = (AudioFormat("pcm", RATE, 1), AudioFormat("wav", RATE, 1))

FAILURES: Mapping[str, type[ProviderError]] = {
    error.reason: error
    for error in (
        *(Refused, Busy, NotReady, BadKey, NoCredit),
        *(Unreachable, TimedOut, Broken, NotSpeech),
    )
}
FailureWord = Literal[
    "refused",
    "busy",
    "not_ready",
    "bad_key",
    "no_credit",
    "unreachable",
    "timed_out",
    "broken",
    "not_speech",
    "bug",
]


class ScriptedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The script of a server process. Times are seconds; an audio time counts sound, not waiting.

    Only one of `fail` and `hang_after_s` is obeyed, the failure first.
    """

    seconds: float = 1.0
    """How long each speech is."""
    seconds_per_char: float | None = None
    """The length from the text instead."""
    silent: bool = False
    """Accept, then end without sound (a wav still has its header)."""
    accept_s: float = 0.0
    """Wait before accepting."""
    first_s: float = 0.0
    """Wait between accepting and the first sound."""
    pace: float = 0.0
    """0 is as fast as possible, 1 is real time."""
    chunk_ms: float = 40.0
    ragged: bool = False
    """Cut chunks inside a sample."""
    fail: FailureWord | None = None
    """Raise this error of the contract by its reason; `bug` is an error that is not of it."""
    fail_after_s: float | None = None
    """Fail after so much sound instead of refusing at the door."""
    retry_after_s: float | None = None
    hang_after_s: float | None = None
    """After so much sound, say nothing more and never end."""
    models: tuple[str, ...] = ("tone-1",)
    formats: tuple[AudioFormat, ...] = DEFAULT_FORMATS
    files: Mapping[Encoding, str] = {}
    """Paths of the bodies for formats that are neither pcm nor wav."""
    voices: tuple[str | Voice, ...] = ("tone",)
    max_chars: int | None = None
    streaming: bool = True
    cloning: bool = False
    chooses_voice: bool = True
    languages: frozenset[str] | None = None
    speed: tuple[float, float] | None = None
    pitch: tuple[float, float] | None = None
    options: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for format in self.formats:
            if format.encoding not in ("pcm", "wav", *self.files):
                raise ValueError(f"files: {format.encoding} is offered and has no file")

    def offers(self) -> dict[str, Capabilities]:
        able = Capabilities(
            formats=self.formats,
            max_chars=self.max_chars,
            streaming=self.streaming,
            cloning=self.cloning,
            chooses_voice=self.chooses_voice,
            languages=self.languages,
            speed=self.speed,
            pitch=self.pitch,
            options=self.options,
        )
        return dict.fromkeys(self.models, able)

    def failure(self) -> Exception | None:
        if self.fail is None:
            return None
        if self.fail == "bug":
            return RuntimeError("this error is in the script")
        return FAILURES[self.fail]("This failure is in the script.", retry_after=self.retry_after_s)

    def script(self, order: SpeechOrder) -> Script:
        """The script for one order."""
        failure = self.failure()
        entering: list[Step] = [Pause(self.accept_s)] if self.accept_s else []
        speaking: list[Act] = [Pause(self.first_s)] if self.first_s else []
        if failure and self.fail_after_s is None:
            entering.append(Raise(failure))
        elif failure:
            speaking += [Tone(self.fail_after_s or 0.0, self.pace), Raise(failure)]
        elif self.hang_after_s is not None:
            speaking += [Tone(self.hang_after_s, self.pace), Hang()]
        else:
            speaking.append(Tone(self._length(order), self.pace))
        return Script(speaking=tuple(speaking), entering=tuple(entering))

    def _length(self, order: SpeechOrder) -> float:
        if self.silent:
            return 0.0
        seconds = self.seconds
        if self.seconds_per_char is not None:
            seconds = self.seconds_per_char * len(order.text)
        return seconds / order.speed if self.speed else seconds
