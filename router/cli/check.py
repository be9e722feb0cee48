"""`tts-router check` and `schema`: what is wrong with a config, and what may stand in one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from router.cli.config import kinds
from router.settings.load import BadConfig, parse
from router.settings.schema import schema as json_schema


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def check(file: str) -> None:
    """Name every mistake in the config FILE: where it is, what is wrong, what to do."""
    found = kinds()
    try:
        settings = parse(Path(file).read_text("utf-8"), found.providers, file)
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file} is not UTF-8") from error
    except BadConfig as error:
        for problem in error.problems:
            click.echo(f"{file}: {problem}")
        count = len(error.problems)
        raise click.ClickException(f"{count} mistake{'s' if count > 1 else ''}") from error
    for provider in settings.providers.values():
        if provider.off is not None:
            click.echo(f"{file}: providers.{provider.name} is off: {provider.off}")
    click.echo(f"{file} is good.")


@click.command()
def schema() -> None:
    """Print the JSON Schema of the config, for editors."""
    click.echo(json.dumps(json_schema(kinds().providers), indent=2, ensure_ascii=False))
