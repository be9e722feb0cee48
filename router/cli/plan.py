"""`tts-router plan`: who would be asked, in which order and format, and why others would not."""

from __future__ import annotations

import asyncio
import sys

import click
import msgspec

from router.api.fields import FORMATS
from router.api.operations import Explanation, explanation
from router.app.founding import speaking
from router.cli.config import config_option, loaded
from router.contract.audio import AudioFormat, Clip
from router.contract.errors import SpeechError
from router.contract.speech import SpeechRequest
from router.registry import Kinds
from router.settings.structs import Settings
from router.telemetry import logs

_A_CLIP = Clip(b"RIFF", "wav")
"""Stands for a voice sample: a plan asks only whether there is one."""


@click.command()
@config_option
@click.option("--model", required=True)
@click.option("--voice", required=True)
@click.option("--format", "format_", type=click.Choice(sorted(FORMATS)), default="wav")
@click.option("--language", help="A BCP-47 tag; else it is guessed from the text.")
@click.option("--speed", type=click.FloatRange(0.1, 5.0), default=1.0)
@click.option("--text", default="Hello, welcome.", help="What would be said; - is stdin.")
@click.option("--clone", is_flag=True, help="As if with a voice sample.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def plan(
    config: str | None,
    model: str,
    voice: str,
    format_: str,
    language: str | None,
    speed: float,
    text: str,
    clone: bool,
    as_json: bool,
) -> None:
    """Print the route of a request without speaking it."""
    logs.set_up(json=False, quiet=True)
    settings, kinds = loaded(config)
    request = SpeechRequest(
        shape="plan",
        model=model,
        text=sys.stdin.read() if text == "-" else text,
        voice=voice,
        format=AudioFormat(FORMATS[format_]),
        language=language,
        speed=speed,
        clip=_A_CLIP if clone else None,
    )
    try:
        found = asyncio.run(_explained(settings, kinds, request))
    except SpeechError as error:
        raise click.ClickException(error.message) from error
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        _print(found)
    if found.refusal is not None:
        raise click.ClickException(found.refusal)


async def _explained(settings: Settings, kinds: Kinds, request: SpeechRequest) -> Explanation:
    async with speaking(settings, kinds) as speaker:
        return explanation("plan", speaker.explain(request), str(request.format))


def _print(found: Explanation) -> None:
    whole = ", held until it is whole" if found.held_whole else ", streamed"
    click.echo(f"{found.model} in {found.voice}, {found.language}, {found.format}{whole}")
    for number, asked in enumerate(found.candidates, 1):
        voice = asked.voice or "a voice of its choice"
        line = f"  {number}. {asked.provider}: {asked.model}, {voice}, gives {asked.asked_for}"
        if asked.asked_for != asked.delivers:
            line += f", made into {asked.delivers}"
        if asked.ignored:
            line += f"; ignores {', '.join(asked.ignored)}"
        click.echo(line)
    for passed in found.passed_over:
        click.echo(f"  -  {passed.provider} ({passed.reason}): {passed.detail}")
