"""What is asked for, what is ordered of a provider, and what a provider can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from router.contract.audio import AudioFormat, Clip

Gender = Literal["female", "male", "neutral"]
Priority = Literal["live", "batch"]


class SpeechRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants, in the router's own words, whatever shape it came in. The text is in no
    repr."""

    shape: str
    model: str
    text: str
    voice: str
    format: AudioFormat
    language: str | None = None
    """A BCP-47 tag, not yet checked; `None` means: guess."""
    speed: float = 1.0
    pitch: float | None = None
    options: Mapping[str, Any] = {}
    """What only some providers know: instructions, emotion, stability, similarity, style, seed,
    temperature, top_p, extra."""
    clip: Clip | None = None
    stream: bool | None = None
    """True and false are the caller's wish; `None` leaves it to the rule of the format."""

    def __repr__(self) -> str:
        asked = f"model={self.model!r}, voice={self.voice!r}"
        return f"SpeechRequest({self.shape}, {asked}, {len(self.text)} chars)"


class Held(msgspec.Struct, frozen=True):
    """Who has spoken what came before, so that the same voice may go on."""

    provider: str
    timbre: tuple[str, str, str, str | None]
    """Equal for all who sound like this voice."""
    traits: tuple[str | None, str | None]
    """Language and gender of the voice, as far as they are known."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a caller wants to be served, beside what is to be spoken."""

    prefer: str | None = None
    """`fastest`, `cheapest` or a provider's name; obeyed where the model allows it."""
    within_s: float | None = None
    """Seconds in which the first sound has to come; the config caps it."""
    idempotency_key: str | None = None
    """Of all requests for the same under one key the caller pays one."""
    fresh: bool = False
    """Nothing that was kept from before, and nothing of it kept in the cache."""
    priority: Priority = "live"
    """`batch` for what nobody listens to yet: it goes behind all others, and may be as long as the
    text of a job."""
    held: Held | None = None
    """Who goes on; a change of voice is allowed as far as the model's `voice_change` says."""


PLAIN_TERMS = Terms()


class VoiceChoice(msgspec.Struct, frozen=True):
    """The voice of an order: the provider's own id of it, or `None` where the provider chooses by
    the traits."""

    id: str | None
    language: str | None = None
    """The voice's own language (not the text's), as a primary BCP-47 subtag."""
    gender: Gender | None = None


class SpeechOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider is asked to speak: every name is already the provider's own. The text is in
    no repr."""

    model: str
    text: str
    voice: VoiceChoice
    language: str
    """The language of the text: a BCP-47 tag such as `en`, `zh`, `pt-BR`."""
    speed: float = 1.0
    pitch: float | None = None
    """Semitones, 0 is unchanged."""
    options: Mapping[str, Any] = {}
    """Only what the provider's capabilities list."""
    clip: Clip | None = None
    priority: Priority = "live"
    trace: Mapping[str, str] = {}
    """Headers of the trace context, to be sent upstream."""

    def __repr__(self) -> str:
        voice = self.voice.id
        return f"SpeechOrder({self.model!r}, {voice!r}, {self.language}, {len(self.text)} chars)"


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider takes from us."""

    per_1k_chars: float = 0.0
    per_minute: float = 0.0
    currency: str = "USD"


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What one model of one provider can do. Data, known before any request, so that planning is
    pure."""

    formats: tuple[AudioFormat, ...]
    """What it can deliver, each with its rate and channels where they are known."""
    max_chars: int | None = None
    """Longest text in code points."""
    streaming: bool = True
    cloning: bool = False
    wants_samples: bool = False
    """It takes a voice sample decoded (`Clip.samples`); others get the uploaded bytes alone."""
    languages: frozenset[str] | None = None
    """Primary subtags it speaks; `None`: it does not say, so it is asked."""
    unreadable: Mapping[str, frozenset[str]] = {}
    """Scripts it cannot read in a language it speaks: `{"ja": {"Han"}}`. Script names as in
    `routing.language`."""
    speed: tuple[float, float] | None = None
    """Lowest and highest factor it honours itself; `None`: it cannot change its speed."""
    pitch: tuple[float, float] | None = None
    """Lowest and highest shift in semitones."""
    options: frozenset[str] = frozenset()
    """Names in `SpeechRequest.options` that it honours."""
    chooses_voice: bool = False
    """It speaks for any logical voice, choosing by language and gender."""
    cost: Cost | None = None


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice that a provider has, under the provider's own id."""

    id: str
    name: str | None = None
    languages: tuple[str, ...] = ()
    gender: Gender | None = None
    style: str | None = None
    pitch: str | None = None
    models: frozenset[str] | None = None
    """Upstream models that have it; `None`: all of them."""
