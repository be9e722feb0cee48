"""Finds the config and the plugins for a verb, and tells mistakes as people read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from router import registry
from router.registry import BadPlugin, Kinds
from router.settings.load import BadConfig, load
from router.settings.structs import Settings

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def config_option(verb: _Verb) -> _Verb:
    """The `--config` of every verb that reads one."""
    return click.option(
        "--config",
        metavar="FILE",
        help="The config; else $TTS_ROUTER_CONFIG, ./config/router.yaml, or the packaged default.",
    )(verb)


def kinds() -> Kinds:
    """The installed plugins; a broken one ends the command with one clean line."""
    try:
        return registry.find()
    except BadPlugin as error:
        raise click.ClickException(str(error)) from error


def loaded(config: str | None) -> tuple[Settings, Kinds]:
    """The settings and the plugins; a mistake ends the command and names every one."""
    found = kinds()
    try:
        return load(config, found.providers), found
    except BadConfig as error:
        raise click.ClickException(f"the config has mistakes:\n{error}") from error
