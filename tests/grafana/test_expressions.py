"""Every expression is asked of a real Prometheus that has watched real routers, well and ill."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.files import Target, alerts, records, targets
from tests.grafana.promql import filled, shortened, sides
from tests.grafana.story import Told

pytestmark = pytest.mark.timeout(240)
"""The first to ask waits for all that happens: about a minute."""


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
async def test_each_query_of_each_panel_has_data(story: Told, target: Target) -> None:
    assert await story.watch.values(filled(target.expr), story.ill)


@pytest.mark.parametrize("rule", records(), ids=lambda rule: rule["record"])
async def test_each_recording_rule_has_data_in_health(story: Told, rule: dict[str, Any]) -> None:
    assert await story.watch.values(rule["expr"], story.healthy)
    assert await story.watch.values(rule["record"], story.healthy)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
async def test_each_alert_looks_at_data_in_health_and_is_silent(
    story: Told, alert: dict[str, Any]
) -> None:
    for side in sides(alert["expr"]):
        assert await story.watch.values(side, story.healthy), side
    assert not await story.watch.values(shortened(alert["expr"]), story.healthy)


LATER = {
    "TtsRouterNotReady": "lost",
    "TtsConfigRefused": "lost",
    "TtsLimitsLost": "lost",
    "TtsLedgerLost": "lost",
    "TtsRouterDown": "gone",
}
"""In which part of the story its scenario is; of all others it is `ill`."""
WHOSE = {
    "TtsModelMute": ("model", "dead"),
    "TtsProviderMute": ("provider", "mute"),
    "TtsBreakerOpen": ("provider", "mute"),
    "TtsFallbackSurge": ("model", "mute-then-good"),
    "TtsSpeechBroken": ("provider", "cut"),
    "TtsSpeechDoubted": ("provider", "hasty"),
    "TtsEngineSlow": ("provider", "slow"),
    "TtsQueueGrows": ("provider", "narrow"),
}
"""Whom an alert names, where it names somebody."""


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
async def test_each_alert_sees_its_scenario(story: Told, alert: dict[str, Any]) -> None:
    at = getattr(story, LATER.get(alert["alert"], "ill"))
    found = await story.watch.values(shortened(alert["expr"]), at)
    assert found
    if alert["alert"] in WHOSE:
        label, name = WHOSE[alert["alert"]]
        assert name in {labels.get(label) for labels, _ in found}


async def test_no_rule_fails(story: Told) -> None:
    broken = {
        rule["name"]: rule["lastError"] for rule in await story.watch.rules() if "lastError" in rule
    }
    assert broken == {}
