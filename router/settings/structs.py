"""What may be written in the YAML file, key by key. Every key is told in
`config/router.example.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from router.contract.audio import Encoding
from router.contract.caller import Price
from router.contract.provider import Secret
from router.contract.speech import Gender
from router.settings.accounts import Accounts, Limits, Rates
from router.settings.cache import Cache
from router.settings.integrity import Integrity
from router.settings.jobs import Jobs, TicketShape
from router.settings.metrics import Metrics
from router.settings.outlook import Outlook
from router.settings.tracing import Tracing

Family = Literal["leaper", "openai", "nanogpt"]
Order = Literal["listed", "weighted", "cheapest", "fastest"]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: frozen, and a key that it does not know is a mistake."""


class Server(Part, frozen=True):
    """Where the server listens, what it keeps, and whom it answers."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    data_dir: str = "~/.local/share/tts-router"
    cache_dir: str = "~/.cache/tts-router"
    secret: Secret | None = None
    """Keys every hash and signature of this installation; made once in `data_dir` when not
    given."""
    public_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose `X-Forwarded-For` is believed."""
    open: bool = False
    """Listen beyond this machine although there are no keys."""
    hosts: tuple[str, ...] = ()
    """Names, beside loopback and `public_url`, that a request's `Host` may have."""
    origins: tuple[str, ...] = ()
    """Web origins, beside loopback, whose pages may call."""
    places: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Speeches at once; as many again may wait for a place."""
    strict: tuple[Family, ...] = ()
    """Shapes in which a field that the API does not know is an error."""
    provider_prefix: bool = False
    """Whether `<provider>/<model>` reaches a provider directly."""
    whole_bytes: Annotated[int, Meta(ge=1_048_576)] = 67_108_864
    """The most that one answer may take when it is held whole; a longer one is streamed."""
    answers_bytes: Annotated[int, Meta(ge=0, le=2**40)] = 67_108_864
    """The most that answers to an Idempotency-Key take, which are kept for ten minutes; none takes
    more than a quarter of it."""


class Timeouts(Part, frozen=True):
    """Every wait of a request has a limit, in seconds, and each limit a name."""

    body_s: Seconds = 30.0
    """For a request's body to arrive."""
    place_s: Seconds = 10.0
    """For a place in the server."""
    slot_s: Seconds = 5.0
    """For a provider's slot, when no other candidate is left."""
    first_audio_s: Seconds = 20.0
    """For one provider's first sound."""
    clone_first_audio_s: Seconds = 120.0
    """The same, when a voice is cloned."""
    deadline_s: Seconds = 60.0
    """For the first sound, over all attempts."""
    deadline_most_s: Seconds = 120.0
    """The most that a caller may ask for instead, by `X-Request-Timeout`."""
    retry_pause_s: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    """Longest pause before everybody is asked a second time, where that may help; its length is
    drawn by chance. 0: nobody is."""
    stall_s: Seconds = 20.0
    """Between two pieces of audio from a provider."""
    slow_reader_s: Seconds = 60.0
    """For a caller who does not read."""
    total_s: Seconds = 3600.0
    """For a whole speech."""
    drain_s: Seconds = 30.0
    """For speech under way when the server is told to stop."""


class ProviderEntry(Part, frozen=True):
    """One instance of a provider: the keys that all kinds share; the rest belongs to its kind."""

    kind: Name
    enabled: bool | Literal["auto"] = "auto"
    slots: Annotated[int, Meta(ge=1, le=10_000)] = 16
    """Speeches at once in this provider."""
    first_audio_s: Seconds | None = None
    """Its own limit for the first sound."""
    gain_db: Annotated[float, Meta(ge=-60, le=60)] = 0.0
    """How much louder it is made, so that a fallback does not jump in volume."""
    timbre: str = ""
    """Instances of one kind with the same word here sound alike, model by model and voice by voice;
    without one those at the same address do."""
    limits: Rates = Rates()
    """What we may ask of it, over all callers; where they are reached the next is asked."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One instance, checked: either it has its kind's settings, or the reason why it is off."""

    name: str
    entry: ProviderEntry
    settings: Any = None
    off: str | None = None


class Route(Part, frozen=True):
    """One step of a model's order: a provider, and the name that the model has there."""

    provider: Name
    model: Name | None = None
    """The provider's own model; none means the model of the same name there, else its first."""
    price: Price | None = None
    """What a caller pays when this step speaks; `None`: the model's price."""
    weight: Annotated[float, Meta(ge=0, le=1_000_000)] = 1.0
    """How often it is asked first, against the weights of the others, with the order `weighted`."""


class Model(Part, frozen=True):
    """A public model: the order in which providers are asked, and what callers are told of it."""

    routes: tuple[Route, ...] = ()
    same_as: str | None = None
    """Another model whose keys hold here too, save those given here."""
    family: Family = "openai"
    """Whose defaults hold for this model on `/v1/audio/speech`."""
    description: str = ""
    owned_by: str = "tts-router"
    max_input: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    """Longest text in code points that a caller may send."""
    price: Price = Price()
    limits: Limits | None = None
    """Over all callers; `None`: those of `accounts.limits.model`."""
    default_format: Encoding | None = None
    default_voice: str | None = None
    streaming: bool = True
    """Whether audio leaves as it is spoken; else every answer is held whole, whatever is asked."""
    order: Order = "listed"
    """Who is asked first: `listed`, `weighted` by chance, `cheapest` by what the providers say that
    they cost, or `fastest` by what was measured of late."""
    prefer: bool = True
    """Whether a caller may choose by `X-TTS-Prefer`: `fastest`, `cheapest`, a provider's name."""
    hedge: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    """The most part of the requests in which the next provider is asked as well when the first is
    slower than 19 of its last 20; the first sound wins, and both cost. 0: never."""
    pieces: Literal["auto", "always", "never"] = "auto"
    """Whether a text is spoken piece by piece: where it is longer than a provider of the route
    takes, always, or never."""
    piece_chars: Annotated[int, Meta(ge=20, le=100_000)] = 400
    """The longest piece in code points; the first is short, so that it is soon heard."""
    hold: Literal["piece", "none"] = "piece"
    """What waits until it is known to be whole: each `piece`, so that another provider can speak it
    when one dies in it; or nothing, and such a death breaks the speech off."""
    voice_change: Literal["same-voice", "same-language-and-gender", "any"] = (
        "same-language-and-gender"
    )
    """Who may go on when a provider dies in mid-speech; otherwise it breaks off. A cloned voice is
    never changed."""
    version: str = ""
    """Whatever it is, another one makes the cache forget what this model has said."""
    share: bool = True
    """Whether requests for the same at the same time are spoken once, for all who ask."""
    tts: TicketShape = "ticket"
    """What `POST /tts` is answered with: a `ticket` to ask with, the `url` of the finished audio,
    or the `audio` itself."""
    clone_fallback: Literal["refuse", "preset"] = "refuse"
    """What to do with a voice sample when no provider of the route that is on can clone: refuse, or
    speak in the preset voice and say so in `X-TTS-Ignored`."""


class Voice(Part, frozen=True):
    """A logical voice: its traits, and its name at each provider (by instance or by kind)."""

    same_as: str | None = None
    name: str | None = None
    languages: tuple[str, ...] = ()
    gender: Gender | None = None
    style: str | None = None
    pitch: str | None = None
    providers: dict[str, str] = {}


class File(Part, frozen=True):
    """The file as it is written, with every provider's own keys left out."""

    server: Server = Server()
    timeouts: Timeouts = Timeouts()
    integrity: Integrity = Integrity()
    outlook: Outlook = Outlook()
    cache: Cache = Cache()
    jobs: Jobs = Jobs()
    metrics: Metrics = Metrics()
    tracing: Tracing = Tracing()
    accounts: Accounts | None = None
    providers: dict[str, ProviderEntry] = {}
    models: dict[str, Model] = {}
    voices: dict[str, Voice] = {}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The file, checked: what the rooms read."""

    server: Server
    timeouts: Timeouts
    integrity: Integrity
    outlook: Outlook
    cache: Cache
    jobs: Jobs
    metrics: Metrics
    tracing: Tracing
    providers: dict[str, Provider]
    models: dict[str, Model]
    voices: dict[str, Voice]
    accounts: Accounts | None = None
    source: str = ""
    """Where it was read, for people."""

    @property
    def keyed(self) -> bool:
        """Whether a key is needed to speak."""
        return self.accounts is not None and self.accounts.required

    @property
    def data_dir(self) -> Path:
        return Path(self.server.data_dir).expanduser()

    @property
    def cache_dir(self) -> Path:
        return Path(self.server.cache_dir).expanduser()
