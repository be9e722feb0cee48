"""What happened: one record for each request, events for the rest, and those who listen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

import msgspec

Outcome = Literal["spoken", "refused", "failed", "broken", "abandoned"]
"""`refused` by us before anyone was asked · `failed` before the first sound · `broken` after it ·
`abandoned` by the caller."""

Cached = Literal["hit", "miss", ""]
"""Given from the cache, not there, or not looked for."""


class Attempt(msgspec.Struct, frozen=True):
    """One provider asked once. `result` is `spoken`, `abandoned`, or the `reason` of the error."""

    provider: str
    model: str
    result: str
    started_s: float
    """Seconds after the request was opened."""
    seconds: float


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
    text_key: str = ""
    """A keyed hash: the same text has the same one here, and nobody can go back from it."""
    caller: str = ""
    clone: bool = False
    attempts: list[Attempt] = []
    fallback: str = "none"
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
    """Somebody was refused because a limit is reached."""

    scope: str
    """`key`, `address`, `model`, `global`."""
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


Event = (
    OffersChanged
    | BreakerChanged
    | SpeechResumed
    | ProviderFailed
    | SpeechDoubted
    | ChunkRegenerated
    | AssetsProgress
    | LimitRefused
    | LimitsLost
    | ConfigReloaded
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
