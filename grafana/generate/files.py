"""The files that the dashboards are: the same text each time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.generate.engine import engine
from grafana.generate.limits import limits
from grafana.generate.overview import overview
from grafana.generate.providers import providers

FOLDER = Path(__file__).parents[1] / "dashboards"


def written() -> Mapping[str, str]:
    """The text of each file by its name."""
    boards = (overview(), providers(), engine(), limits())
    return {f"{board.uid}.json": _text(board.build()) for board in boards}


def _text(built: object) -> str:
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
