"""`tts-router jobs webhooks`: what receivers have not been told yet, and the secret that signs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, get_args

import click
import msgspec

from router.accounts.entrance import books_of
from router.accounts.errors import AccountError
from router.cli.config import config_option, loaded
from router.cli.table import table
from router.contract.errors import SpeechError
from router.contract.provider import LOCAL_OWNER, Secret
from router.jobs.webhooks.notice import Letter, NoticeState
from router.jobs.webhooks.signature import secret_for
from router.settings.secret import secret_of
from router.settings.structs import Settings
from router.store.errors import StoreUnusable
from router.telemetry import logs

if TYPE_CHECKING:
    from router.jobs.webhooks.by_hand import Outbox

_Answer = TypeVar("_Answer")


@click.group()
def webhooks() -> None:
    """Messages about jobs that have ended: those that could not be delivered yet, or never."""
    logs.set_up(json=False, quiet=True)


@webhooks.command("list")
@config_option
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(get_args(NoticeState)),
    help="Those in this state; else the waiting and the dead.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(config: str | None, states: tuple[NoticeState, ...], as_json: bool) -> None:
    """List messages: whom they are for, how often it was tried, why it failed."""

    async def every(outbox: Outbox) -> list[Letter]:
        asked = states or ("waiting", "dead")
        return [letter async for page in outbox.letters(*asked) for letter in page]

    found = _done(loaded(config)[0], every)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)))
        return
    table(
        ("ID", "JOB", "KIND", "RECEIVER", "STATE", "TRIES", "NEXT TRY", "LAST ERROR"),
        (
            (
                *(letter.id, letter.job, letter.kind, letter.host, letter.state),
                str(letter.attempts),
                _told(letter.next_ms) if letter.state == "waiting" else "",
                letter.last_error,
            )
            for letter in found
        ),
    )


@webhooks.command()
@click.argument("ids", metavar="ID...", nargs=-1)
@config_option
@click.option("--all", "all_dead", is_flag=True, help="All that are dead.")
def retry(ids: tuple[str, ...], config: str | None, all_dead: bool) -> None:
    """Try messages again, at once and for another day."""
    wanted = _wanted(ids, all_dead=all_dead)
    found = _done(loaded(config)[0], lambda outbox: outbox.retry(wanted))
    _tell(found, ids, "will be tried again")


@webhooks.command()
@click.argument("ids", metavar="ID...", nargs=-1)
@config_option
@click.option("--all", "all_dead", is_flag=True, help="All that are dead.")
def drop(ids: tuple[str, ...], config: str | None, all_dead: bool) -> None:
    """Forget messages: their receivers are never told."""
    wanted = _wanted(ids, all_dead=all_dead)
    found = _done(loaded(config)[0], lambda outbox: outbox.drop(wanted))
    _tell(found, ids, "dropped")


@webhooks.command()
@config_option
@click.option("--key", metavar="ID", help="Whose jobs they are; else those of a server without.")
def secret(config: str | None, key: str | None) -> None:
    """Print the secret that a receiver needs to verify messages (Standard Webhooks)."""
    settings, _ = loaded(config)
    click.echo(_secret(settings, key).reveal())


def _secret(settings: Settings, key: str | None) -> Secret:
    if settings.jobs.webhooks.secret:
        return settings.jobs.webhooks.secret
    if key is None and settings.keyed:
        raise click.ClickException("each key has a secret of its own: name one with --key ID")
    owner = LOCAL_OWNER if key is None else _ended(_owner(settings, key))
    try:
        return secret_for(secret_of(settings), owner)
    except OSError as error:
        raise click.ClickException(str(error)) from error


async def _owner(settings: Settings, key: str) -> str:
    async with books_of(settings) as accounts:
        return (await accounts.keys.get(key)).id


def _done(settings: Settings, do: Callable[[Outbox], Awaitable[_Answer]]) -> _Answer:
    """Do it with the outbox open."""
    from router.jobs.webhooks.by_hand import outbox_of  # noqa: PLC0415  # SQLAlchemy: 0.2 s

    async def run() -> _Answer:
        async with outbox_of(settings) as outbox:
            return await do(outbox)

    return _ended(run())


def _ended(work: Awaitable[_Answer]) -> _Answer:
    """What goes wrong ends the command in one line."""

    async def run() -> _Answer:
        return await work

    try:
        return asyncio.run(run())
    except (AccountError, StoreUnusable, SpeechError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _wanted(ids: Sequence[str], *, all_dead: bool) -> Sequence[str] | None:
    """`None`: all that are dead."""
    if bool(ids) == all_dead:
        raise click.UsageError("give ids of messages, or --all")
    return ids or None


def _tell(found: Sequence[str], asked: Sequence[str], what: str) -> None:
    click.echo(f"{len(found)} {what}.")
    if missing := [id for id in asked if id not in found]:
        raise click.ClickException(f"not here, or delivered already: {', '.join(missing)}")


def _told(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
