"""`tts-router models`, `voices` and `plugins`: what is on offer here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import click

from router.api.catalogue import ModelInfo, VoiceInfo, list_models, list_voices
from router.app.founding import speaking
from router.cli.config import config_option, kinds, loaded
from router.registry import Kinds
from router.settings.structs import Settings
from router.telemetry import logs


@click.command()
@config_option
def models(config: str | None) -> None:
    """List the models, and who speaks for each."""
    logs.set_up(json=False, quiet=True)
    settings, found = loaded(config)
    offered, _ = asyncio.run(_offered(settings, found))
    _table(
        ("MODEL", "SPOKEN BY", "FORMATS", "CREDITS/1K", "LONGEST"),
        (
            (
                model.id,
                ", ".join(route.provider for route in settings.models[model.id].routes),
                ", ".join(model.formats) or "nobody is on",
                f"{model.pricing.per_1k_chars:g}",
                str(model.max_input),
            )
            for model in offered
        ),
    )


@click.command()
@config_option
@click.option("--language", help="Only those of this language.")
def voices(config: str | None, language: str | None) -> None:
    """List the voices."""
    logs.set_up(json=False, quiet=True)
    settings, found = loaded(config)
    _, offered = asyncio.run(_offered(settings, found))
    _table(
        ("VOICE", "LANGUAGES", "GENDER", "STYLE"),
        (
            (voice.id, ", ".join(voice.languages), voice.gender or "", voice.style or "")
            for voice in offered
            if language is None or language in voice.languages
        ),
    )


@click.command()
def plugins() -> None:
    """List the plugins, and the kinds of provider and observer that they bring."""
    found = kinds()
    _table(("PLUGIN", "FROM"), found.plugins.items())
    click.echo()
    summaries = [(name, "provider", kind.summary) for name, kind in found.providers.items()]
    summaries += [(name, "observer", kind.summary) for name, kind in found.observers.items()]
    _table(("KIND", "OF", "WHAT IT IS"), summaries)


async def _offered(settings: Settings, found: Kinds) -> tuple[list[ModelInfo], list[VoiceInfo]]:
    async with speaking(settings, found) as speaker:
        return list_models(speaker), list_voices(speaker, settings.server.public_url)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    every = [head, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(head))]
    for row in every:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
