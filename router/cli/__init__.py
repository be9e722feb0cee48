"""The `tts-router` command: one file a group of verbs, each imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from router import __version__

_VERBS = {
    "serve": "router.cli.serve",
    "worker": "router.cli.worker",
    "say": "router.cli.say",
    "check": "router.cli.check",
    "schema": "router.cli.check",
    "plan": "router.cli.plan",
    "status": "router.cli.status",
    "models": "router.cli.assets",
    "voices": "router.cli.voices",
    "plugins": "router.cli.listing",
    "keys": "router.cli.keys",
    "jobs": "router.cli.jobs",
}


class _Verbs(click.Group):
    """Loads a verb's module only when that verb is called: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        module = _VERBS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(module), cmd_name)
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tts-router")
def main() -> None:
    """One endpoint for speech, in front of a free local voice and several remote providers."""
