"""The dashboards are what the code says, and can be read by whoever was just woken."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.generate.files import written
from router.telemetry.metrics import DECLARED
from tests.grafana.files import DASHBOARDS, GRAFANA, alerts, dashboard, panels, records, targets

UIDS = [path.stem for path in DASHBOARDS]
_NAME = re.compile(r"\b(?:tts|process)_\w+|\b[a-z_]+:tts_\w+:\w+|\bup\b")
_SELECTION = re.compile(r"((?:tts|process)_\w+)\{([^}]*)\}")
_LABEL = re.compile(r'(\w+)(?:=~|!~|!=|=)"')
_QUOTED = re.compile(r'"[^"]*"')
_BY = re.compile(r"\b(?:by|on|without) \(([^)]*)\)")
_TARGET = {"job", "instance"}
"""Labels that Prometheus gives."""
_PROCESS = {"process_resident_memory_bytes"}


def _labels() -> dict[str, set[str]]:
    """The labels of every series by its name."""
    known = dict.fromkeys(("up", *_PROCESS), _TARGET)
    for one in DECLARED:
        own = {*one.labels, *_TARGET}
        known[one.name] = own
        if one.kind == "histogram":
            known |= {f"{one.name}_{part}": own for part in ("count", "sum")}
            known[f"{one.name}_bucket"] = own | {"le"}
    return known


def _expressions() -> list[str]:
    return [*(each.expr for each in targets()), *(rule["expr"] for rule in [*records(), *alerts()])]


def test_the_files_are_what_the_code_writes_now() -> None:
    """If this fails: python -m grafana.generate"""
    there = {path.name: path.read_text("utf-8") for path in DASHBOARDS}
    assert there == dict(written())


@pytest.mark.parametrize("uid", UIDS)
def test_a_dashboard_is_of_the_shape_that_grafana_reads(uid: str) -> None:
    """By the types that Grafana's makers draw from its own schema."""
    register_default_plugins()
    read = Dashboard.from_json(dashboard(uid))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == dashboard(uid)


@pytest.mark.parametrize("expr", _expressions())
def test_an_expression_knows_only_metrics_and_labels_that_there_are(expr: str) -> None:
    known = _labels()
    recorded = {rule["record"] for rule in records()}
    bare = _QUOTED.sub('""', expr)
    names = {name for name in _NAME.findall(bare) if name not in recorded}
    assert names <= set(known)
    for metric, selection in _SELECTION.findall(expr):
        assert set(_LABEL.findall(selection)) <= known[metric]
    every = set().union(*known.values())
    for labels in _BY.findall(bare):
        assert set(re.findall(r"\w+", labels)) <= every


@pytest.mark.parametrize("uid", UIDS)
def test_every_panel_asks_a_question_and_has_help_and_a_unit(uid: str) -> None:
    for panel in panels(uid):
        assert panel["title"].endswith("?"), panel["title"]
        assert len(panel["description"]) > 40, panel["title"]
        assert panel["description"].rstrip().endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@pytest.mark.parametrize("uid", UIDS)
def test_no_panel_lies_on_another_and_none_shares_an_id(uid: str) -> None:
    board = dashboard(uid)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        cells = _cells(panel["gridPos"])
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells


@pytest.mark.parametrize("uid", UIDS)
def test_every_variable_that_is_used_can_be_chosen(uid: str) -> None:
    board = dashboard(uid)
    chosen = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)\b", str(board["panels"])))
    assert used <= chosen
    assert {"datasource", "job", "instance"} <= chosen


def test_the_provisioning_finds_the_dashboards_and_the_source() -> None:
    boards = yaml.safe_load((GRAFANA / "provisioning/dashboards/tts-router.yml").read_text("utf-8"))
    source = yaml.safe_load(
        (GRAFANA / "provisioning/datasources/prometheus.yml").read_text("utf-8")
    )
    watching = yaml.safe_load((GRAFANA / "prometheus.yml").read_text("utf-8"))

    assert boards["providers"][0]["options"]["path"] == "${TTS_GRAFANA}/dashboards"
    told = source["datasources"][0]
    assert told["type"] == "prometheus"
    assert told["jsonData"]["timeInterval"] == watching["global"]["scrape_interval"]


def test_everything_that_the_compose_file_mounts_is_there() -> None:
    services = yaml.safe_load((GRAFANA / "compose.yml").read_text("utf-8"))["services"]
    mounts = [mount for service in services.values() for mount in service["volumes"]]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(files) >= 5
    for file in files:
        assert (GRAFANA / file).exists(), file


def _cells(place: dict[str, Any]) -> set[tuple[int, int]]:
    columns = range(place["x"], place["x"] + place["w"])
    return {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
