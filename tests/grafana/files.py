"""The dashboards, rules and alerts, as the files have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

GRAFANA = Path(__file__).parents[2] / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))


class Target(NamedTuple):
    """One query of a panel."""

    uid: str
    panel: int
    ref: str
    expr: str

    @property
    def name(self) -> str:
        return f"{self.uid}-{self.panel}{self.ref}"


def dashboard(uid: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GRAFANA / "dashboards" / f"{uid}.json").read_text("utf-8"))
    return found


def panels(uid: str) -> list[dict[str, Any]]:
    """All but the headings."""
    return [panel for panel in dashboard(uid)["panels"] if panel["type"] != "row"]


def targets() -> list[Target]:
    return [
        Target(path.stem, panel["id"], target["refId"], target["expr"])
        for path in DASHBOARDS
        for panel in panels(path.stem)
        for target in panel["targets"]
    ]


def records() -> list[dict[str, Any]]:
    """The recording rules."""
    return _rules("rules.yml")


def alerts() -> list[dict[str, Any]]:
    return _rules("alerts.yml")


def _rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((GRAFANA / name).read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]
