"""`tts-router keys`: make, list, end and fill keys, and see what was used with them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import click
import msgspec

from router.accounts.entrance import books_of
from router.accounts.errors import AccountError
from router.accounts.keys import NewKey, hash_of
from router.accounts.opening import Accounts
from router.accounts.price import credits_of, nano_of
from router.accounts.shown import (
    KeyInfo,
    KeyLimits,
    WantedKey,
    info_of,
    info_of_new,
    terms_of,
    top_up_name,
)
from router.accounts.usage import COLUMNS, UsageQuery, csv_of, shown
from router.cli.config import config_option, loaded
from router.cli.table import table
from router.contract.errors import SpeechError
from router.contract.provider import Secret
from router.settings.keys import SHORTEST_KEY
from router.settings.secret import secret_of
from router.settings.structs import Settings
from router.store.errors import StoreUnusable
from router.telemetry import logs

_Answer = TypeVar("_Answer")
_COUNT = click.IntRange(1)
_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def keys() -> None:
    """Keys: who may speak, how fast, and at whose cost."""
    logs.set_up(json=False, quiet=True)


class _Amount(click.ParamType[float]):
    """Credits, as a decimal."""

    name = "credits"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            nano_of(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return float(value)


@keys.command()
@config_option
@click.option("--name", default="", help="For people.")
@click.option("--model", "models", multiple=True, help="A model that it may ask for; else all.")
@click.option("--provider", "providers", multiple=True, help="One that may speak; else all.")
@click.option("--credits", type=_Amount(), help="What it begins with; else it is not metered.")
@click.option("--expires", type=_DAY, help="The first day (UTC) on which it is no longer good.")
@click.option("--requests-per-minute", type=_COUNT)
@click.option("--characters-per-minute", type=_COUNT)
@click.option("--requests-per-day", type=_COUNT)
@click.option("--characters-per-day", type=_COUNT)
@click.option("--credits-per-day", type=_Amount())
@click.option("--concurrent", type=_COUNT, help="Speeches at once.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def create(
    config: str | None,
    name: str,
    models: tuple[str, ...],
    providers: tuple[str, ...],
    credits: float | None,
    expires: datetime | None,
    as_json: bool,
    **limits: float | None,
) -> None:
    """Make a key and print it: it is shown this once."""
    settings, _ = loaded(config)
    _check_names(settings, models, providers)
    wanted = WantedKey(
        name=name,
        models=models,
        providers=providers,
        credits=credits,
        expires=expires.date() if expires else None,
        limits=msgspec.convert({k: v for k, v in limits.items() if v}, KeyLimits),
    )

    async def make(accounts: Accounts) -> NewKey:
        return await accounts.keys.create(terms_of(wanted), credit_nano=wanted.credit_nano)

    _show_new(_done(settings, make), as_json=as_json)


@keys.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(config: str | None, as_json: bool) -> None:
    """List the keys: never a key itself."""
    found = _done(loaded(config)[0], _every)
    if as_json:
        _print_json(found)
        return
    table(
        ("ID", "NAME", "KEY", "STATE", "BALANCE", "MODELS", "PROVIDERS", "EXPIRES"),
        (
            (
                *(key.id, key.name, key.shown, key.state),
                key.balance if key.balance is not None else "not metered",
                ", ".join(key.models) or "all",
                ", ".join(key.providers) or "all",
                key.expires or "",
            )
            for key in found
        ),
    )


@keys.command()
@click.argument("id")
@config_option
def disable(id: str, config: str | None) -> None:
    """End a key; servers notice within two seconds."""
    key = _done(loaded(config)[0], lambda accounts: accounts.keys.disable(id))
    click.echo(f"{key.id} is disabled.")


@keys.command()
@click.argument("id")
@config_option
def enable(id: str, config: str | None) -> None:
    """Let a key that was disabled speak again."""
    key = _done(loaded(config)[0], lambda accounts: accounts.keys.enable(id))
    click.echo(f"{key.id} is enabled.")


@keys.command()
@click.argument("id")
@config_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def rotate(id: str, config: str | None, as_json: bool) -> None:
    """Give a key a new secret, with the same account and terms, and print it."""
    made = _done(loaded(config)[0], lambda accounts: accounts.keys.rotate(id))
    _show_new(made, as_json=as_json)


@keys.command("top-up")
@click.argument("id")
@click.argument("credits", type=_Amount())
@config_option
@click.option("--once", help="A name of this top-up: the same one adds once.")
def top_up(id: str, credits: float, config: str | None, once: str | None) -> None:
    """Add CREDITS to a key; one that was not metered is from then on."""

    async def add(accounts: Accounts) -> int:
        key = await accounts.keys.get(id)
        name = top_up_name(key.id, once)
        return await accounts.ledger.top_up(key.id, nano_of(credits), request=name)

    click.echo(f"{id} has {credits_of(_done(loaded(config)[0], add))} credits.")


@keys.command()
@config_option
@click.option("--from", "first", type=_DAY, help="The first day, in UTC.")
@click.option("--to", "last", type=_DAY, help="The last day, itself included.")
@click.option("--key", help="Of this key alone, by its id.")
@click.option("--model", help="Of this model alone.")
@click.option("--provider", help="Of this provider alone.")
@click.option("--format", "format_", type=click.Choice(["table", "csv", "json"]), default="table")
def usage(
    config: str | None,
    first: datetime | None,
    last: datetime | None,
    key: str | None,
    model: str | None,
    provider: str | None,
    format_: str,
) -> None:
    """What was used, by day, key, model and provider."""
    query = UsageQuery(account=key, model=model, provider=provider)
    if first:
        query = msgspec.structs.replace(query, first_day=first.date().isoformat())
    if last:
        query = msgspec.structs.replace(query, last_day=last.date().isoformat())

    async def rows(accounts: Accounts) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        head = True
        async for page in accounts.usage.pages(query):
            if format_ == "csv":  # page by page: all of it is never held
                click.echo(csv_of(page.rows, head=head), nl=False)
                head = False
            else:
                found += [shown(row) for row in page.rows]
        return found

    found = _done(loaded(config)[0], rows)
    if format_ == "json":
        _print_json(found)
    elif format_ == "table":
        names = [name.upper() for name in COLUMNS]
        table(names, ([str(row[name]) for name in COLUMNS] for row in found))


@keys.command("hash")
@config_option
def hash_(config: str | None) -> None:
    """Print the hash of a key of your own, for `accounts.keys` in the config."""
    settings, _ = loaded(config)
    key = click.prompt("Key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    if len(key.strip()) < SHORTEST_KEY:
        raise click.ClickException(f"a key has at least {SHORTEST_KEY} characters")
    click.echo(hash_of(secret_of(settings), Secret(key.strip())))


def _done(settings: Settings, do: Callable[[Accounts], Awaitable[_Answer]]) -> _Answer:
    """Do it with the accounts open; what goes wrong ends the command in one line."""

    async def run() -> _Answer:
        async with books_of(settings) as accounts:
            return await do(accounts)

    try:
        return asyncio.run(run())
    except (AccountError, StoreUnusable, SpeechError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


async def _every(accounts: Accounts) -> list[KeyInfo]:
    found = await accounts.keys.page(limit=1_000)
    page = [key for key in found if key.source == "store"]
    while page:
        page = await accounts.keys.page(after=page[-1].id, limit=1_000)
        found += page
    return [info_of(key) for key in found]


def _check_names(settings: Settings, models: Sequence[str], providers: Sequence[str]) -> None:
    asked = (("model", models, settings.models), ("provider", providers, settings.providers))
    for what, names, known in asked:
        for name in names:
            if name not in known:
                raise click.ClickException(f"there is no {what} {name!r} in {settings.source}")


def _show_new(made: NewKey, *, as_json: bool) -> None:
    info = info_of_new(made)
    if as_json:
        _print_json(info)
        return
    click.echo(info.key)
    click.echo(f"This is {info.id}. The key is shown this once; keep it.", err=True)


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)))
