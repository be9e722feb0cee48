"""What happened: one record for each request, events for the rest, and those who listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

import msgspec

from router.contract.speech import Priority
from router.contract.trace import TraceContext

Outcome = Literal["spoken", "accepted", "refused", "failed", "broken", "abandoned"]
"""`accepted` as a job, which is spoken later · `refused` by us before anyone was asked · `failed`
before the first sound · `broken` after it · `abandoned` by the caller."""

Cached = Literal["hit", "miss", ""]
"""Given from the cache, not there, or not looked for."""


VoiceChange = Literal["fallback", "chosen", "preset", ""]
"""Why somebody heard another voice than the one that was wanted: another provider's counterpart of
it · the provider chose by language and gender, for it has no such voice · a sample of a voice was
not used. Empty: it is the one that was wanted, or nobody knows."""


class Attempt(msgspec.Struct, frozen=True):
    """One provider asked once; also an event. `result` is `spoken`, `abandoned`, or the `reason` of
    the error."""

    provider: str
    model: str
    result: str
    started_s: float
    """Seconds after the request was opened."""
    seconds: float
    waited_s: float = 0.0
    """What of it was spent waiting for a slot, in vain too."""
    first_audio_s: float | None = None
    """From being asked, with a slot in hand, to the first sound."""
    span_id: str = ""
    """Its span, under which the upstream was told to work; empty: the request has no trace."""
    priority: Priority = "live"


class SpeechRecord(msgspec.Struct, kw_only=True):
    """The account of one request. It fills up on the way and is published once, when all is over.
    No text is in it."""

    request_id: str
    shape: str
    opened: float
    """Monotonic seconds; the other times count from here."""
    model: str = ""
    """The public model's name, once it is known to be one of ours; never the caller's words."""
    provider: str = ""
    upstream_model: str = ""
    voice: str = ""
    """The logical voice's name, once it is known."""
    language: str = ""
    format: str = ""
    characters: int = 0
    endpoint: str = ""
    """The method and the template of the path by which it came."""
    trace: TraceContext | None = None
    """`None`: nobody traces."""
    understood_s: float | None = None
    """When it was known what is asked for; it stays `None` where that is refused."""
    planned_s: float | None = None
    """When it was known who could speak."""
    text_key: str = ""
    """A keyed hash: the same text has the same one here, and nobody can go back from it."""
    caller: str = ""
    clone: bool = False
    attempts: list[Attempt] = []
    fallback: str = "none"
    passed_over: Mapping[str, str] = {}
    """`fallback` by provider: who was passed over or failed before the one that spoke, and the word
    for why."""
    priority: Priority = "live"
    """`batch`: it is a piece of a job, and nobody listens yet."""
    place_s: float | None = None
    """Seconds that it waited for a place in the server; `None`: it did not come so far."""
    voice_change: VoiceChange = ""
    pieces: int = 0
    """How many a long text was spoken in; 0: it was spoken whole."""
    resumed: int = 0
    """How often another provider went on where one had died."""
    shared: bool = False
    """It was made for somebody else who had asked for the same; their record has the attempts."""
    cache: Cached = ""
    repeat: bool = False
    """It is the answer that was given before under the same Idempotency-Key."""
    hedged: bool = False
    """A second provider was asked before the first had failed."""
    first_audio_s: float | None = None
    total_s: float = 0.0
    audio_s: float | None = None
    """Seconds of audio handed out; `None` where a compressed body passed through unread."""
    audio_bytes: int = 0
    credits: float = 0.0
    """What the caller was charged."""
    doubts: list[str] = []
    """What was found against the speech, and did not break it off."""
    outcome: Outcome = "failed"
    reason: str = ""
    status: int = 0
    upstream_id: str | None = None


class OffersChanged(msgspec.Struct, frozen=True):
    """A provider can now do something else than before (an engine became ready)."""

    provider: str


class BreakerChanged(msgspec.Struct, frozen=True):
    """A provider's model is left alone for a while (`open`), or is asked again (`closed`)."""

    provider: str
    model: str
    state: Literal["closed", "open", "half_open"]
    reason: str
    """The word of the error that opened it last."""
    wait_s: float
    """How long it is left alone."""


class SpeechResumed(msgspec.Struct, frozen=True):
    """A provider died in a long speech, and another goes on at the first piece nobody heard."""

    provider: str
    """Who goes on."""
    model: str
    instead_of: str
    public_model: str = ""
    is_same_voice: bool = False


class SpeechHedged(msgspec.Struct, frozen=True):
    """A second provider is asked as well, because the first is late."""

    public_model: str
    provider: str
    """The second."""


class SpeechMade(msgspec.Struct, frozen=True):
    """A provider has said all of a speech, or of a piece of one; or it was let go of before its
    end, and `audio_s` is `None`."""

    provider: str
    model: str
    seconds: float
    """That it took, from being asked to the end."""
    audio_s: float | None
    """`None`: nobody looked inside what was passed through."""
    cost: float
    """What it takes from us, by what it says that it costs."""
    currency: str
    """Empty: it says nothing of that."""


class ProviderFailed(msgspec.Struct, frozen=True):
    """A provider failed in an attempt; `bug` where it let an exception out that is not of the
    contract."""

    provider: str
    model: str
    reason: str
    bug: bool = False


class SpeechDoubted(msgspec.Struct, frozen=True):
    """What a provider gave is not, or hardly can be, the speech of its text."""

    provider: str
    model: str
    finding: str
    """`empty`, `silent`, `too_short`, `too_long`, `loop`."""
    certain: bool


class ChunkRegenerated(msgspec.Struct, frozen=True):
    """A provider found a part of a speech that had gone wrong, and makes it again: nobody has heard
    of it."""

    provider: str
    finding: str
    """As in `SpeechDoubted`."""


AssetsStage = Literal["listing", "fetching", "checking", "building", "proving"]
"""What a provider does with the files that it needs: the first three to have them, the others to
make its own of them."""


class AssetsProgress(msgspec.Struct, frozen=True):
    """A provider works on the files that it needs; told a few times a second at most."""

    provider: str
    stage: AssetsStage
    done: int
    """Bytes while it gets the files, steps while it makes its own."""
    total: int
    """0: nobody knows yet."""


class LimitRefused(msgspec.Struct, frozen=True):
    """Somebody was refused, or a provider was not asked, because a limit is reached."""

    scope: str
    """`key`, `address`, `model`, `global`, `provider`."""
    measure: str
    """`requests`, `characters`, `credits`, `speeches`."""
    use: str
    """`speech`, `looking` or `failing`."""


class LimitsLost(msgspec.Struct, frozen=True):
    """The shared store of limits was lost, or is back."""

    is_lost: bool
    on_loss: str
    """`closed`: nobody speaks meanwhile. `open`: each router counts for itself."""


class ConfigReloaded(msgspec.Struct, frozen=True):
    """The config was read again. Where that did not go well nothing has changed."""

    ok: bool
    why: str
    """Why not; else what of it holds only after a restart."""


class JobChanged(msgspec.Struct, frozen=True):
    """A job was taken in, or has ended."""

    state: Literal["queued", "running", "completed", "error", "cancelled"]
    model: str
    """The public model."""
    seconds: float
    """Since it was taken in."""
    provider: str = ""
    """Who spoke last."""
    credits: float = 0.0
    """What was charged for it, at its end."""


class WebhookTried(msgspec.Struct, frozen=True):
    """A receiver was called about a job that has ended."""

    ok: bool
    attempts: int
    """How many there were, this one included."""
    dead: bool
    """It was the last: the message is given up, and somebody should look."""


Event = (
    OffersChanged
    | Attempt
    | BreakerChanged
    | SpeechHedged
    | SpeechMade
    | SpeechResumed
    | ProviderFailed
    | SpeechDoubted
    | ChunkRegenerated
    | AssetsProgress
    | LimitRefused
    | LimitsLost
    | ConfigReloaded
    | JobChanged
    | WebhookTried
)


class Observer(Protocol):
    """Hears what happened. It must return quickly and may not raise; if it does, it is logged and
    nobody else suffers."""

    def recorded(self, record: SpeechRecord) -> None: ...

    def noticed(self, event: Event) -> None: ...


class ObserverKind(msgspec.Struct, frozen=True):
    """A kind of observer: what the plugin hook returns. Each that is installed is opened once."""

    name: str
    settings: type[Any]
    """A frozen msgspec struct with a default for every key."""
    open: Callable[[Any], AbstractAsyncContextManager[Observer]]
    summary: str = ""
