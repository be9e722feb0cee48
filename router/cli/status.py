"""`tts-router status`: asks a running server how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import click
import httpx
import msgspec

from router.cli.asking import configured
from router.cli.config import config_option, loaded

_WITHIN_S = 10.0


@click.command()
@config_option
@click.option("--url", help="The server; else where the config says that it listens.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(config: str | None, url: str | None, as_json: bool) -> None:
    """Tell whether a running server can speak, who is on, and why others are off."""
    base = (url or configured(loaded(config)[0].server)).rstrip("/").removesuffix("/v1")
    try:
        answer = asyncio.run(_get(f"{base}/health/ready"))
        found = msgspec.json.decode(answer.content)
        state, models, providers = found["status"], found["models"], found["providers"]
        lines = [*found["reasons"], *_lines(models, providers), *_about(found)]
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        message = f"no server answers at {base} ({type(error).__name__})"
        raise click.ClickException(message) from error
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise click.ClickException(f"what answers at {base} is no tts-router") from error
    if as_json:
        click.echo(msgspec.json.format(answer.content))
    else:
        click.echo("\n  ".join([f"{base} is {state}", *lines]))
    if state != "ready":
        raise SystemExit(1)


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=_WITHIN_S, trust_env=False) as client:
        return await client.get(url)


def _lines(models: dict[str, Any], providers: dict[str, Any]) -> Iterator[str]:
    for name, model in models.items():
        yield f"{name}: {', then '.join(model['speaks']) or 'nobody'}"
    for name, provider in providers.items():
        off = f": {provider['reason']}" if provider["reason"] else ""
        slots = f", {_places(provider['slots'])} slots" if provider["slots"] else ""
        yield f"{name} ({provider['kind']}) is {provider['state']}{off}{slots}"
        if (inside := provider.get("inside")) and inside["line"] != provider["reason"]:
            yield f"  {inside['line']}"
        for model, breaker in provider["breakers"].items():
            if breaker["state"] != "closed":
                yield f"  {model}: {_rest(breaker)}"


def _rest(breaker: dict[str, Any]) -> str:
    if breaker["state"] == "open":
        return f"left alone for {breaker['wait_s']:g} s ({breaker['reason']})"
    return f"on trial with the next request ({breaker['reason']})"


def _places(places: dict[str, int]) -> str:
    waiting = f" and {places['waiting']} waiting" if places["waiting"] else ""
    return f"{places['in_use']} of {places['size']}{waiting}"


def _about(found: dict[str, Any]) -> Iterator[str]:
    yield f"places in use: {_places(found['places'])}"
    config = found["config"]
    yield f"config loaded {config['loaded']}"
    if config["restart"]:
        yield f"a restart is needed for {', '.join(config['restart'])}"
    if config["refused"]:
        yield f"a newer config was not taken: {config['refused']}"
