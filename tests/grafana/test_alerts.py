"""Every alert fires in its scenario, is silent otherwise, and tells a tired person what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.grafana.files import GRAFANA, alerts, panels
from tests.grafana.server import NO_PROMETHEUS, PROMTOOL, promtool

SCENARIOS = Path(__file__).parent / "alerts"
NAMES = [alert["alert"] for alert in alerts()]
FILES = sorted(path.name for path in SCENARIOS.glob("*.yml"))
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason=NO_PROMETHEUS)


@needs_promtool
def test_the_config_and_the_rules_are_valid() -> None:
    for arguments in (("config", "prometheus.yml"), ("rules", "rules.yml", "alerts.yml")):
        done = promtool("check", *arguments, within=GRAFANA)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("file", FILES)
def test_alerts_fire_and_are_silent_as_their_scenarios_say(file: str) -> None:
    done = promtool("test", "rules", file, within=SCENARIOS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_scenario_in_which_it_fires_and_one_in_which_it_nearly_does(
    name: str,
) -> None:
    asked = [
        (file, bool(case.get("exp_alerts")))
        for file in FILES
        for test in yaml.safe_load((SCENARIOS / file).read_text("utf-8"))["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == name
    ]
    assert any(fires for file, fires in asked if file != "health.yml")
    assert any(not fires for file, fires in asked if file != "health.yml")
    assert any(not fires for file, fires in asked if file == "health.yml")


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_leads_to_a_panel_that_is_there(alert: dict[str, Any]) -> None:
    told = alert["annotations"]
    uid, panel = told["__dashboardUid__"], int(told["__panelId__"])
    assert panel in {each["id"] for each in panels(uid)}
    assert told["dashboard"].startswith(f"/d/{uid}?viewPanel={panel}&var-job=")


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_says_how_bad_it_is_what_it_means_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("page", "ticket")
    told = alert["annotations"]
    assert told["summary"]
    assert told["description"].endswith(".")
    assert told["runbook_url"] == f"grafana/README.md#{alert['alert'].lower()}"

    entry = _runbook()[alert["alert"]]
    for part in ("**Means.**", "**Look first.**", "**Do.**"):
        text = entry.partition(part)[2].partition("**")[0]
        assert len(text) > 40, f"{alert['alert']}: {part}"
    severity = re.search(r"`(page|ticket)`", entry)
    assert severity is not None
    assert severity[1] == alert["labels"]["severity"]


def test_the_runbook_tells_of_no_alert_that_is_gone() -> None:
    assert set(_runbook()) == set(NAMES)


def _runbook() -> dict[str, str]:
    """What README.md says of each alert, by its name."""
    text = (GRAFANA / "README.md").read_text("utf-8")
    parts = re.split(r"^### (Tts\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
