"""Who is put to the test: a kind of provider, and what its author knows about it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from router.contract.audio import AudioFormat
from router.contract.provider import Host, Kind, Provider, Secret
from router.contract.speech import SpeechOrder

HEAVY = (
    *("onnxruntime", "av", "numpy", "soxr", "aiohttp", "httpx"),
    *("litestar", "sqlalchemy", "torch", "scipy"),
)
"""What the import of a plugin must not load: it is imported at every start, also when unused."""

FEWEST_CHARS = 12
"""A shorter text would be found in a log by accident."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A failure that can be provoked, and how the provider must tell it."""

    name: str
    reason: str
    """The `reason` of the contract's error that must come out."""
    settings: Mapping[str, Any] | None = None
    """Settings that provoke it, in place of the subject's."""
    order: SpeechOrder | None = None
    """An order that provokes it, in place of the subject's."""
    when: Literal["entering", "speaking"] | None = None
    """Where it must come out: before the provider has accepted, or out of the chunks. `None`:
    either."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A provider before the promises. What it leaves out is not checked: say as much as you can."""

    kind: Kind
    order: SpeechOrder
    """A sample: one short sentence that the provider, so configured, speaks well."""
    settings: Mapping[str, Any] = {}
    """As they would stand in the YAML."""
    plugin: str | None = None
    """The module that the entry point names."""
    heavy: tuple[str, ...] = HEAVY
    failures: tuple[Failure, ...] = ()
    unspeakable: tuple[str, ...] = ()
    """Texts without anything to speak, where the provider itself can tell (an engine can)."""
    secrets: tuple[str, ...] = ()
    """Keys that are in the settings, as plain text."""
    open_speeches: Callable[[], int] | None = None
    """Counts the speeches at which the far side works now."""
    asked: Callable[[], int] | None = None
    """Counts the speeches for which the far side was asked so far."""
    patience_s: float = 20.0
    """Longest time for any single step."""

    def __post_init__(self) -> None:
        if len(self.order.text) < FEWEST_CHARS:
            raise ValueError(f"order: its text needs at least {FEWEST_CHARS} characters")

    def __repr__(self) -> str:
        return f"Subject({self.kind.name!r})"


def decoded(kind: Kind, settings: Mapping[str, Any]) -> Any:
    """The settings as the router would decode them."""
    return msgspec.convert(dict(settings), kind.settings, dec_hook=_decode)


def _decode(wanted: type, value: Any) -> Any:
    if wanted in (Secret, Path) and isinstance(value, str):
        return wanted(value)
    raise NotImplementedError(f"settings of type {wanted.__name__}")


@asynccontextmanager
async def opened(subject: Subject, failure: Failure | None = None) -> AsyncIterator[Provider]:
    """The provider, open. Whatever goes wrong around or inside becomes an `AssertionError`."""
    instead = failure.settings if failure else None
    settings = decoded(subject.kind, subject.settings if instead is None else instead)
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, name) for name in ("data", "cache")]
        for place in places:
            place.mkdir()
        data, cache = places
        host = Host(name="subject", data_dir=data, cache_dir=cache, publish=lambda _event: None)
        try:
            async with subject.kind.open(settings, host) as provider:
                yield provider
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} came out: {error}") from error


def first_format(provider: Provider, order: SpeechOrder) -> AudioFormat:
    """The format that the order's model likes best."""
    return provider.offers()[order.model].formats[0]


@asynccontextmanager
async def patience(seconds: float, act: str) -> AsyncIterator[None]:
    """Give up on a provider that does not come back; its own `TimeoutError`s pass through."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise AssertionError(f"{act} took longer than {seconds:g} s") from error
        raise
