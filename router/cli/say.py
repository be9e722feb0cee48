"""`tts-router say`: one synthesis without a server."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import BinaryIO

import click

from router.app.founding import speaking
from router.cli.config import config_option, loaded
from router.contract.audio import AudioFormat
from router.contract.caller import Caller
from router.contract.errors import SpeechError
from router.contract.provider import LOCAL_OWNER
from router.contract.record import SpeechRecord
from router.contract.speech import SpeechRequest
from router.dispatch.speaker import Speaker
from router.dispatch.speech import Speech
from router.registry import Kinds
from router.settings.structs import Settings
from router.telemetry import logs

_FORMATS = {
    ".wav": "wav",
    ".mp3": "mp3",
    ".ogg": "ogg",
    ".opus": "opus",
    ".aac": "aac",
    ".flac": "flac",
    ".pcm": "pcm",
}


@click.command()
@click.argument("text")
@config_option
@click.option("--model", help="The model; else the first of the config.")
@click.option("--voice", default="alloy", show_default=True)
@click.option("--format", "format_", type=click.Choice(sorted(set(_FORMATS.values()))))
@click.option("--speed", type=click.FloatRange(0.1, 5.0), default=1.0, show_default=True)
@click.option("--language", help="A BCP-47 tag; else it is guessed.")
@click.option(
    "-o", "--output", default="speech.wav", show_default=True, help="A file; - is stdout."
)
def say(
    text: str,
    config: str | None,
    model: str | None,
    voice: str,
    format_: str | None,
    speed: float,
    language: str | None,
    output: str,
) -> None:
    """Speak TEXT into a file. TEXT - is read from stdin."""
    logs.set_up(json=False, quiet=True)
    settings, kinds = loaded(config)
    if not settings.models:
        raise click.ClickException("the config has no model")
    request = SpeechRequest(
        shape="say",
        model=model or next(iter(settings.models)),
        text=sys.stdin.read() if text == "-" else text,
        voice=voice,
        format=_wanted(format_ or _FORMATS.get(Path(output).suffix.lower(), "wav")),
        language=language,
        speed=speed,
    )
    if not request.text.strip():
        raise click.ClickException("there is nothing to say: the text is empty")
    try:
        asyncio.run(_say(settings, kinds, request, output))
    except SpeechError as error:
        raise click.ClickException(error.message) from error
    except OSError as error:
        what = f"cannot write {output}: {error.strerror or type(error).__name__}"
        raise click.ClickException(what) from error


def _wanted(name: str) -> AudioFormat:
    return AudioFormat(name)  # type: ignore[arg-type]  # a name of the table above


async def _say(settings: Settings, kinds: Kinds, request: SpeechRequest, output: str) -> None:
    async with speaking(settings, kinds) as speaker:
        record = SpeechRecord(
            request_id=os.urandom(16).hex(),
            shape=request.shape,
            opened=asyncio.get_running_loop().time(),
        )
        try:
            await _speak_into(speaker, request, record, output)
        finally:
            record.total_s = asyncio.get_running_loop().time() - record.opened
            speaker.observers.recorded(record)


async def _speak_into(
    speaker: Speaker, request: SpeechRequest, record: SpeechRecord, output: str
) -> None:
    async with speaker.speak(request, Caller(LOCAL_OWNER), record) as speech:
        if output == "-":
            await _write(speech, sys.stdout.buffer)
            return
        unfinished = Path(f"{output}.part")  # half a sentence must not look like a whole file
        try:
            with unfinished.open("wb") as file:
                await _write(speech, file)
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)
    if sys.stderr.isatty():
        click.echo(f"\r{_told(speech)} → {output}\033[K", err=True)


async def _write(speech: Speech, file: BinaryIO) -> None:
    shows = sys.stderr.isatty()
    async for chunk in speech.chunks():
        await asyncio.to_thread(file.write, chunk)
        if shows:
            click.echo(f"\r{_told(speech)}\033[K", err=True, nl=False)
    file.flush()


def _told(speech: Speech) -> str:
    seconds = f"{speech.seconds:.1f} s of " if speech.seconds else ""
    return f"{seconds}{speech.format}, {speech.bytes_out:,} bytes, by {speech.provider}"
