"""`tts-router jobs`: long speech, made by a running router while somebody waits, or nobody."""

from __future__ import annotations

import datetime as dt
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from router.api.job_info import JobInfo, JobList
from router.cli.asking import Asking, asking, asking_options
from router.cli.table import table
from router.cli.waiting import PATH, fetch, length, waited_for

_MESSAGES = "webhooks"
_FORMATS = ("wav", "mp3", "ogg", "opus", "aac", "flac", "pcm")


class _Jobs(click.Group):
    """Messages lie in the store, which takes a while to load: it is, once they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), _MESSAGES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != _MESSAGES:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module("router.cli.webhooks"), _MESSAGES)
        return command


@click.group(cls=_Jobs)
def jobs() -> None:
    """Jobs: speech that a running router makes, however long it takes."""


@jobs.command()
@click.argument("text", type=click.File("rb"))
@asking_options
@click.option("--model", help="The model; else the router's first.")
@click.option("--voice", default="alloy", show_default=True)
@click.option("--format", "format_", type=click.Choice(_FORMATS), help="Else by the output's name.")
@click.option("--speed", type=click.FloatRange(0.25, 4.0), default=1.0, show_default=True)
@click.option("--language", help="A BCP-47 tag; else it is guessed.")
@click.option("--webhook-url", help="Is told how the job ended.")
@click.option("--wait", is_flag=True, help="Wait for its end.")
@click.option("-o", "--output", help="A file for the audio, which is waited for; - is stdout.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def submit(
    text: BinaryIO,
    config: str | None,
    url: str | None,
    key: str | None,
    model: str | None,
    output: str | None,
    format_: str | None,
    *,
    wait: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Hand in the text of a file; - is stdin."""
    body = {name: value for name, value in asked.items() if value is not None}
    body["input"] = _read(text)
    body["response_format"] = format_ or _format_of(output)
    _check_folder(output)
    with asking(config, url, key) as router:
        body["model"] = model or _first_model(router)
        job = router.told(JobInfo, "POST", PATH, json=body)
        if wait or output:
            job = waited_for(router, job)
        if output:
            fetch(router, job, output)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(job)))
    elif not output:
        click.echo(job.audio.url if job.audio is not None else job.id)


@jobs.command("list")
@asking_options
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--batch", help="Only the jobs of this batch.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(
    config: str | None,
    url: str | None,
    key: str | None,
    limit: int,
    batch: str | None,
    *,
    as_json: bool,
) -> None:
    """List your jobs, the newest first."""
    wanted = {"limit": limit} | ({"batch": batch} if batch else {})
    with asking(config, url, key) as router:
        found = router.told(JobList, "GET", PATH, params=wanted)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)))
        return
    table(
        ("ID", "STATUS", "SINCE", "MODEL", "VOICE", "FORMAT", "SPOKEN"),
        (
            (
                *(job.id, job.status, _time(job.created_at), job.model, job.voice, job.format),
                f"{job.progress.characters:,} of {job.progress.characters_total:,}",
            )
            for job in found.data
        ),
    )


@jobs.command()
@click.argument("id")
@asking_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(id: str, config: str | None, url: str | None, key: str | None, *, as_json: bool) -> None:
    """Tell how a job is, and where its audio lies."""
    with asking(config, url, key) as router:
        job = router.told(JobInfo, "GET", f"{PATH}/{id}")
    told = msgspec.json.format(msgspec.json.encode(job)) if as_json else "\n  ".join(_lines(job))
    click.echo(told)


@jobs.command()
@click.argument("id")
@asking_options
def cancel(id: str, config: str | None, url: str | None, key: str | None) -> None:
    """Stop a job; nothing is paid for it."""
    with asking(config, url, key) as router:
        job = router.told(JobInfo, "DELETE", f"{PATH}/{id}")
    click.echo(f"{job.id} is {job.status}.")


def _read(file: BinaryIO) -> str:
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file.name} is not UTF-8") from error
    if not text.strip():
        raise click.ClickException("there is nothing to say: the text is empty")
    return text


def _check_folder(output: str | None) -> None:
    """A book is not spoken for a folder that is not there."""
    folder = Path(output or "").parent
    if output not in (None, "-") and not folder.is_dir():
        raise click.ClickException(f"cannot write {output}: {folder} is no folder")


def _format_of(output: str | None) -> str:
    ending = Path(output or "").suffix.lower().removeprefix(".")
    return ending if ending in _FORMATS else "mp3"


def _first_model(router: Asking) -> str:
    found = router.told(dict[str, Any], "GET", "/v1/models")
    if not found.get("data"):
        raise click.ClickException("the router has no model")
    return str(found["data"][0]["id"])


def _lines(job: JobInfo) -> list[str]:
    done = job.progress
    pieces = f", {done.pieces} of {done.pieces_total} pieces" if done.pieces_total else ""
    lines = [
        f"{job.id} is {job.status}",
        f"{job.model}, {job.voice}, {job.format}, since {_time(job.created_at)}",
        f"{done.characters:,} of {done.characters_total:,} characters{pieces}, "
        f"{length(done.audio_s)} of audio",
    ]
    if job.queue_position is not None:
        lines.append(f"{job.queue_position} before it")
    if done.estimate_s is not None:
        lines.append(f"done in about {length(done.estimate_s)}")
    if job.error is not None:
        lines.append(f"{job.error.code}: {job.error.message}")
    if job.audio is not None:
        lines.append(f"{job.audio.url} until {_time(job.audio.expires_at)}")
    if job.cost is not None:
        lines.append(f"cost {job.cost} credits")
    return lines


def _time(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="minutes")
