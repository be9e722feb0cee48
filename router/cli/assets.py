"""`tts-router models`: what is on offer here; fetches, rebuilds and measures its files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import click
import msgspec

from router.cli.config import config_option, loaded
from router.cli.listing import models as list_models
from router.contract.errors import ProviderError
from router.contract.provider import HasAssets, Interrupted, Kind
from router.contract.record import AssetsStage
from router.registry import Kinds, host_of
from router.settings.structs import Settings

_IN_BYTES: frozenset[AssetsStage] = frozenset({"listing", "fetching", "checking"})
_WHO = click.argument("who", metavar="KIND-OR-PROVIDER")
_DIRECTORY = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="A directory for the files; else the one of the config, or the usual cache.",
)


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def models(ctx: click.Context, config: str | None) -> None:
    """List the models; or fetch, rebuild and measure the files of one that runs here."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models, config=config)


@models.command()
@_WHO
@config_option
@_DIRECTORY
def pull(who: str, config: str | None, directory: Path | None) -> None:
    """Fetch the files that it needs, and prove every one. What is there is not fetched again."""
    with Bar() as bar, _Told():
        lines = _assets(who, config).pull(directory, bar)
    _say(lines)


@models.command()
@_WHO
@config_option
@_DIRECTORY
def optimize(who: str, config: str | None, directory: Path | None) -> None:
    """Make faster files of those fetched, and prove them on this machine."""
    with Bar() as bar, _Told():
        lines = _assets(who, config).optimize(directory, bar)
    _say(lines)


@models.command()
@_WHO
@config_option
@_DIRECTORY
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("compared"),
    show_default=True,
    help="A folder for the sounds to listen to.",
)
def compare(who: str, config: str | None, directory: Path | None, results: Path) -> None:
    """Measure the faster files against those fetched: JSON, and pairs of sounds."""
    with Bar() as bar, _Told():
        found = _assets(who, config).compare(directory, results, bar)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


def _assets(who: str, config: str | None) -> HasAssets:
    settings, kinds = loaded(config)
    kind, chosen, name = _named(who, settings, kinds)
    if kind.assets is None:
        able = ", ".join(name for name, kind in kinds.providers.items() if kind.assets) or "none"
        raise click.ClickException(f"{who} needs no files; these kinds do: {able}")
    return kind.assets(chosen, host_of(settings, name, lambda _event: None))


def _named(who: str, settings: Settings, kinds: Kinds) -> tuple[Kind, Any, str]:
    """A provider of the config, else a kind: with the settings of its only provider, or with its
    own defaults."""
    provider = settings.providers.get(who)
    if provider is None and who in kinds.providers:
        alike = [one for one in settings.providers.values() if one.entry.kind == who]
        provider = alike[0] if len(alike) == 1 else None
    if provider is not None and provider.settings is not None:
        return kinds.providers[provider.entry.kind], provider.settings, provider.name
    if who not in kinds.providers:
        known = ", ".join(sorted({*settings.providers, *kinds.providers}))
        raise click.ClickException(f"nobody is called {who!r}; known: {known}")
    kind = kinds.providers[who]
    try:
        return kind, msgspec.convert({}, kind.settings), who
    except msgspec.ValidationError as error:
        raise click.ClickException(f"{who} must be in the config first: {error}") from error


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line)


class _Told:
    """Turns what ends the work early into one line."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _place: object) -> None:
        if isinstance(error, ProviderError):
            raise click.ClickException(error.message) from error
        if isinstance(error, (KeyboardInterrupt, Interrupted)):
            said = "stopped; what has come is kept, and the same command goes on there"
            raise click.ClickException(said) from error


class Bar:
    """How far it is, on stderr: in place on a terminal, else a line for each stage."""

    def __init__(self, *, shows: bool | None = None) -> None:
        """`shows`: on a terminal; else it is looked at."""
        self._stage: AssetsStage | None = None
        self._began = 0.0
        self._shows = sys.stderr.isatty() if shows is None else shows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shows and self._stage is not None:
            click.echo("\r\033[K", err=True, nl=False)

    def stopped(self) -> bool:
        """Never: a Ctrl-C is an exception here."""
        return False

    def progress(self, stage: AssetsStage, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage, self._began = stage, time.monotonic()
            if not self._shows:
                click.echo(f"{stage} …", err=True)
        if self._shows:
            click.echo(f"\r{self._line(done, total)}\033[K", err=True, nl=False)

    def _line(self, done: int, total: int) -> str:
        if not total:
            return f"{self._stage} …"
        share = done / total
        bar = "█" * round(24 * share)
        amount = f"{done} of {total}"
        if self._stage in _IN_BYTES:
            speed = done / max(time.monotonic() - self._began, 0.1) / 1e6
            amount = f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {speed:.1f} MB/s"
        return f"{self._stage} {bar:░<24} {share:.0%}, {amount}"
