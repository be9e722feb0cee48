"""The paths that the application answers."""

from __future__ import annotations

import re
from functools import cache

from router import registry
from router.app.server import create_app
from router.settings.load import packaged_default, parse


@cache
def routes() -> tuple[str, ...]:
    """As they are declared, with their parameters."""
    kinds = registry.find()
    app = create_app(parse(packaged_default(), kinds.providers), kinds)
    return tuple(route.path for route in app.routes)


def is_answered(path: str) -> bool:
    """Whether there is something at this path."""
    return any(_pattern(route).fullmatch(path) for route in routes())


def is_base(path: str) -> bool:
    """Whether clients that append their own paths find what they need below this one."""
    needed = ("/audio/speech", "/models", "/voices", "/audio/voices", "/audio/models")
    return all(is_answered(path + end) for end in needed)


@cache
def _pattern(route: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+:(\w+)\}", route)
    for index in range(1, len(parts), 2):
        parts[index] = "/?.+" if parts[index] == "path" else "[^/]+"
    literal = [re.escape(part) if index % 2 == 0 else part for index, part in enumerate(parts)]
    return re.compile("".join(literal))
