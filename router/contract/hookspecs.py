"""The questions that plugins answer. They are asked once, at start, and never on the path of a
request.

A plugin is a module named by an entry point in the group `tts_router`. It marks its answers with
`hookimpl`:

    from router.contract.hookspecs import hookimpl

    @hookimpl
    def tts_provider_kinds():
        return [Kind(name="mine", settings=MySettings, open=open_mine)]
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from router.contract.provider import Kind
from router.contract.record import ObserverKind

PROJECT = "tts_router"
"""The name of the plugin system and of its entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def tts_provider_kinds() -> Iterable[Kind]:  # type: ignore[empty-body]  # no body
    """The kinds of provider that this plugin brings."""


@hookspec
def tts_observer_kinds() -> Iterable[ObserverKind]:  # type: ignore[empty-body]  # no body
    """The kinds of observer that this plugin brings."""
