"""What a provider promises, and what the router gives it.

`router.testing.promises` checks the promises for any provider. They are: its import is light ·
unknown settings are refused · entering `synthesize` waits until the provider has accepted · audio
is in the asked format · no empty speech · leaving early lets go within a second · only errors of
the contract come out · the event loop is never blocked longer than 50 ms · nothing is retried,
counted or logged by it, and no text or key is in an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from router.contract.audio import AudioFormat, AudioStream, Clip
from router.contract.record import AssetsStage, Event
from router.contract.speech import Capabilities, SpeechOrder, Voice


class Secret:
    """A key or a password: its value is had by `reveal()` alone, never by printing."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret(empty)"


class Host(msgspec.Struct, frozen=True):
    """What an instance of a provider gets from the router."""

    name: str
    """The instance's name in the config: two instances may share a kind."""
    data_dir: Path
    """A folder of its own for what must be kept."""
    cache_dir: Path
    """A folder of its own for what can be made again."""
    publish: Callable[[Event], None]


class Provider(Protocol):
    """Somebody who can speak."""

    def offers(self) -> Mapping[str, Capabilities]:
        """Capabilities by upstream model id; the first is the default. Cheap: it is asked at start
        and on `OffersChanged`."""
        ...

    async def voices(self) -> Sequence[Voice]:
        """The voices on offer; asked at start and on a timer, never for a request.

        Raises:
            ProviderError: they cannot be had now. What was known before stays.
        """
        ...

    def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AbstractAsyncContextManager[AudioStream]:
        """Speak. Entering waits until the provider has accepted; leaving, at any moment, lets go of
        everything.

        `format` is one of the model's `formats`, a `None` in it filled in or left as it was.

        Raises:
            ProviderError: on entering, or out of the stream's chunks.
        """
        ...

    async def health(self) -> None:
        """Return when a request would be accepted now, without speaking; else raise what a request
        would meet.

        Raises:
            ProviderError: as a request would meet it.
        """
        ...


class Work(Protocol):
    """Who waits for a long piece of work, as the worker sees it."""

    def progress(self, stage: AssetsStage, done: int, total: int, /) -> None:
        """Hear how far it is, as in `AssetsProgress`; cheap, and called a few times a second."""

    def stopped(self) -> bool:
        """Whether it should end soon, as if it had not been asked for."""


class HasAssets(Protocol):
    """Files that a provider needs, and what can be done with them without speaking.

    Every method blocks and belongs into a thread. Each gives lines for people or data for
    programs, and ends within a second after `work.stopped()` by raising `Interrupted`.

    Raises:
        ProviderError: it cannot be done; the message says what and why.
    """

    def pull(self, directory: Path | None, work: Work) -> Sequence[str]:
        """Fetch what is missing into the usual cache or a directory, and prove it."""
        ...

    def optimize(self, directory: Path | None, work: Work) -> Sequence[str]:
        """Make one's own faster files of those fetched, and prove them."""
        ...

    def compare(self, directory: Path | None, results: Path, work: Work) -> Mapping[str, Any]:
        """Measure the made against the fetched; sounds to listen to are written into `results`.
        What it gives can be written as JSON."""
        ...


class ServingPath(msgspec.Struct, frozen=True):
    """Which of several ways a part of a provider goes."""

    path: str
    """`reference`: as its makers shipped it; `exact`: a faster one that gives the same; `int8`: one
    in 8 bits. Another provider may have other words."""
    why: str = ""
    """Why not the faster one; empty: it is."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider is at one moment. Names are the same at any moment, so that they can be
    labels; no text, key or name of a caller is in it.

    Names that local engines share have metrics of their own. Gauges: `ready`, `start_share` (0 to
    1), `load_seconds`, `rows` (the batch), `rows_most`, `speeches`, `speeches_waiting`,
    `frames_per_second`, `model_resident_bytes`, `voices_bytes`. Counters: `frames`, and seconds of
    a stage as `<stage>_seconds`. Up to 64 of each kind are told, whatever their names.
    """

    line: str
    """For people: how it is, or why it is not ready and how far it is."""
    gauges: Mapping[str, float] = {}
    """What goes up and down, by name; the name tells the unit."""
    counters: Mapping[str, float] = {}
    """What only grows while the provider is open."""
    facts: Mapping[str, str] = {}
    """What is so since it was opened, and why."""
    paths: Mapping[str, ServingPath] = {}
    """How each of its parts is served."""


@runtime_checkable
class HasState(Protocol):
    """A provider with something to tell of its inside."""

    def state(self) -> State:
        """How it is now. Cheap: it is asked a few times a second at most, in the event loop."""
        ...


LOCAL_OWNER = "local"
"""Whose voices are kept on a server without keys: the id of its only caller."""


class SavedVoice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice that somebody had kept: whose, since when, and by whose leave. Its repr tells none of
    it, and neither its sound nor its codes are in it."""

    id: str
    """The provider's own, by which an order asks for it. Nobody can guess it, and none is given
    twice."""
    name: str
    owner: str
    """The `Caller.id` of the only one who may see, use and delete it."""
    consent: str
    """The words of whoever speaks in the sample, or about them."""
    created: int
    """Seconds since 1970."""
    sample_sha256: str
    """Of the file that was sent, in hex."""
    sample_s: float
    """How much of the sample was taken."""

    def __repr__(self) -> str:
        return f"SavedVoice({self.id!r})"


@runtime_checkable
class KeepsVoices(Protocol):
    """A provider that keeps voices made of samples, each for its owner alone.

    They are not among `voices()`, which everybody sees. A sample is never kept, and what is kept of
    it appears in no repr and no log. `OffersChanged` follows every change.
    """

    async def add(self, name: str, clip: Clip, consent: str, owner: str) -> SavedVoice:
        """Keep the voice of a decoded sample.

        Raises:
            InvalidRequest: the name or the consent cannot be taken; `param` says which.
            BadClip: the sample says too little of a voice.
            ProviderError: it cannot be kept, or not now.
        """
        ...

    def list(self, owner: str | None = None) -> Sequence[SavedVoice]:
        """The voices of an owner, or of all, the oldest first. Cheap: it is asked with every
        request."""
        ...

    async def delete(self, id: str) -> None:
        """Forget a voice, for good.

        Raises:
            UnknownVoice: there is none of this id.
            ProviderError: it cannot be deleted.
        """
        ...

    async def export(self, id: str) -> bytes:
        """All that is kept of a voice, as a file.

        Raises:
            UnknownVoice: there is none of this id.
            ProviderError: it cannot be read.
        """
        ...


class Interrupted(Exception):
    """Long work ended because somebody asked for it."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of provider that can be configured: what the plugin hook returns."""

    name: str
    """The word for `kind:` in the YAML."""
    settings: type[Any]
    """A frozen msgspec struct that forbids unknown fields; its keys stand beside `kind` in the
    YAML."""
    open: Callable[[Any, Host], AbstractAsyncContextManager[Provider]]
    """`open(settings, host)`: heavy imports belong here."""
    summary: str = ""
    """One line for people: what it is and what it needs."""
    assets: Callable[[Any, Host], HasAssets] | None = None
    """`assets(settings, host)` for a kind that needs files: cheap, and nothing is opened by it."""
    requires: Mapping[str, str] = {}
    """Modules that must be installed, each with the words that say how (`pip install …`)."""
