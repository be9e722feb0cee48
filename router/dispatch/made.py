"""Speech that has made its first sound, as all who listen to it have it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import msgspec

from router.contract.audio import AudioFormat
from router.contract.caller import Share
from router.contract.record import SpeechRecord
from router.routing.plan import Candidate


class Sound(Protocol):
    """What is heard: of one provider, or piece by piece of several."""

    @property
    def format(self) -> AudioFormat: ...

    @property
    def body(self) -> AsyncIterator[bytes]: ...

    @property
    def length(self) -> int | None:
        """Exact bytes of the body, where it is held whole."""
        ...

    @property
    def seconds(self) -> float | None:
        """Seconds of audio made so far; `None` for a compressed body that passes through."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the provider has said all of it, or was let go."""
        ...

    @property
    def voice(self) -> str | None:
        """The voice that really speaks, where the provider chose it itself."""
        ...

    @property
    def framed(self) -> bool:
        """Whether its end is told by who speaks: else it cannot be known from a cut."""
        ...

    @property
    def upstream_id(self) -> str | None: ...

    @property
    def tokens(self) -> int | None:
        """What the upstream counted, once it has told."""
        ...

    @property
    def shares(self) -> tuple[Share, ...]:
        """Who has spoken how much, where more than one did."""
        ...


class Made(msgspec.Struct, frozen=True):
    """A sound, who makes it, and who was passed over or failed before."""

    candidate: Candidate
    sound: Sound
    passed_over: Mapping[str, str]
    record: SpeechRecord
    """That of the request for which it is made: what was found against it, who went on."""
    warnings: tuple[str, ...] = ()

    @property
    def body(self) -> AsyncIterator[bytes]:
        return self.sound.body
