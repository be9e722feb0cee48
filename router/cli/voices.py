"""`tts-router voices`: what voices there are; keeps, deletes and exports one's own."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import click

from router.accounts.entrance import books_of
from router.accounts.errors import AccountError
from router.api.voice_form import SAMPLE_BYTES
from router.api.voices import save
from router.app.founding import speaking
from router.cli.config import config_option, loaded
from router.cli.listing import voices as list_voices
from router.cli.table import table
from router.contract.audio import Clip, container_of
from router.contract.caller import Caller
from router.contract.errors import SpeechError
from router.contract.provider import LOCAL_OWNER, KeepsVoices, SavedVoice
from router.dispatch.speaker import Speaker
from router.registry import Kinds
from router.settings.structs import Settings
from router.store.errors import StoreUnusable
from router.telemetry import logs

_Answer = TypeVar("_Answer")
_Kept = tuple[KeepsVoices, SavedVoice]

_WHO = click.argument("name", metavar="NAME-OR-ID")
_OWNER = click.option(
    "--owner", metavar="KEY-ID", help="On a server with keys: the id of the key whose voice it is."
)


@click.group(invoke_without_command=True)
@config_option
@click.option("--language", help="Only those of this language.")
@click.pass_context
def voices(ctx: click.Context, config: str | None, language: str | None) -> None:
    """List the voices; or keep, delete and export voices of your own."""
    logs.set_up(json=False, quiet=True)
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_voices, config=config, language=language)


@voices.command()
@click.argument("name")
@click.argument("clip", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@click.option("--consent", required=True, help="Who agrees that this voice is used, and to what.")
@_OWNER
def add(name: str, clip: Path, config: str | None, consent: str, owner: str | None) -> None:
    """Keep the voice of CLIP as NAME. The recording itself is not kept."""
    settings, kinds = loaded(config)
    whose = Caller(asyncio.run(_owner(settings, owner)))
    sample = _sample(clip)

    async def keep(speaker: Speaker) -> SavedVoice:
        return await save(speaker, whose, name, sample, consent)

    kept = _done(settings, kinds, keep)
    click.echo(f"{kept.name} is kept as {kept.id}, made of {kept.sample_s:.1f} s of the sample.")


@voices.command()
@config_option
def saved(config: str | None) -> None:
    """List the voices that are kept."""

    async def every(speaker: Speaker) -> list[_Kept]:
        return list(_kept(speaker))

    table(
        ("VOICE", "ID", "OWNER", "SINCE", "SECONDS", "CONSENT"),
        (
            (
                *(voice.name, voice.id, voice.owner),
                dt.datetime.fromtimestamp(voice.created, dt.UTC).date().isoformat(),
                f"{voice.sample_s:.1f}",
                " ".join(voice.consent.split())[:60],
            )
            for _, voice in _done(*loaded(config), every)
        ),
    )


@voices.command()
@_WHO
@config_option
@_OWNER
def delete(name: str, config: str | None, owner: str | None) -> None:
    """Delete a voice that is kept; servers notice within two seconds."""

    async def forget(speaker: Speaker) -> SavedVoice:
        keeper, voice = _only(speaker, name, owner)
        await keeper.delete(voice.id)
        return voice

    gone = _done(*loaded(config), forget)
    click.echo(f"{gone.name} ({gone.id}) is deleted.")


@voices.command()
@_WHO
@config_option
@_OWNER
@click.option("-o", "--output", required=True, help="A file; - is stdout.")
def export(name: str, config: str | None, owner: str | None, output: str) -> None:
    """Write all that is kept of a voice into a file of JSON."""

    async def whole(speaker: Speaker) -> bytes:
        keeper, voice = _only(speaker, name, owner)
        return await keeper.export(voice.id)

    data = _done(*loaded(config), whole)
    try:
        with click.open_file(output, "wb") as file:
            file.write(data)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error


def _done(settings: Settings, kinds: Kinds, do: Callable[[Speaker], Awaitable[_Answer]]) -> _Answer:
    """Do it with everybody open; what goes wrong ends the command in one line."""

    async def run() -> _Answer:
        async with speaking(settings, kinds) as speaker:
            return await do(speaker)

    try:
        return asyncio.run(run())
    except SpeechError as error:
        raise click.ClickException(error.message) from error


def _kept(speaker: Speaker) -> Iterable[_Kept]:
    for keeper in speaker.roster.keepers.values():
        for voice in keeper.list():
            yield keeper, voice


def _only(speaker: Speaker, asked: str, owner: str | None) -> _Kept:
    """The one voice of this name or id."""
    key = asked.strip().casefold()
    found = [
        (keeper, voice)
        for keeper, voice in _kept(speaker)
        if key in (voice.id, voice.name.casefold()) and owner in (None, voice.owner)
    ]
    if not found:
        raise click.ClickException(f"no voice {asked!r} is kept; see tts-router voices saved")
    if len(found) > 1:
        ids = ", ".join(f"{voice.id} of {voice.owner}" for _, voice in found)
        raise click.ClickException(f"several have this name, so use an id: {ids}")
    return found[0]


async def _owner(settings: Settings, owner: str | None) -> str:
    """Whose voice it becomes."""
    if not settings.keyed:
        return owner or LOCAL_OWNER
    if owner is None:
        raise click.ClickException("with keys, say whose it is: --owner; see tts-router keys list")
    try:
        async with books_of(settings) as accounts:
            return (await accounts.keys.get(owner)).id
    except (AccountError, StoreUnusable, SpeechError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _sample(path: Path) -> Clip:
    with path.open("rb") as file:
        data = file.read(SAMPLE_BYTES + 1)
    if len(data) > SAMPLE_BYTES:
        raise click.ClickException(f"{path} is larger than 10 MiB, which is the most")
    container = container_of(data[:16])
    if container is None or container == "aac":
        raise click.ClickException(f"{path} is no mp3, wav, flac, m4a or ogg file")
    return Clip(data, container)
