"""The frame of a dashboard: its variables, its links, and where alerts fired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as shapes

from grafana.generate.panels import SOURCE, Panel
from grafana.generate.queries import HERE

TAG = "tts-router"
_FIRST_ROW = 101
"""The id of the first heading: panels have the lower ones."""


class Variable(NamedTuple):
    """Something that can be chosen at the top: the values of a label."""

    name: str
    metric: str
    """Where the label's values are found."""


BY_MODEL = Variable("model", "tts_model_ready")
BY_PROVIDER = Variable("provider", "tts_provider_state")
BY_ENGINE = Variable("provider", "tts_engine_ready")


class Row(NamedTuple):
    """A heading, and the panels below it."""

    title: str
    panels: Sequence[Panel]


class Board(NamedTuple):
    """A dashboard. Its `uid` never changes: alerts link to it."""

    uid: str
    title: str
    help: str
    variables: Sequence[Variable]
    rows: Sequence[Row]

    def build(self) -> shapes.Dashboard:
        board = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.help)
            .tags([TAG])
            .readonly()
            .refresh("30s")
            .time("now-3h", "now")
            .timezone("browser")
            .tooltip(shapes.DashboardCursorSync.CROSSHAIR)
            .link(_others())
            .annotation(_fired())
            .with_variable(_source())
        )
        for variable in _everywhere(self.variables):
            board.with_variable(variable)
        for number, row in enumerate(self.rows):
            board.with_row(dashboard.Row(row.title).id(_FIRST_ROW + number))
            for panel in row.panels:
                board.with_panel(panel)
        return board.build()


def _everywhere(more: Sequence[Variable]) -> list[dashboard.QueryVariable]:
    chosen = [_choice("job", "label_values(tts_build_info, job)")]
    chosen.append(_choice("instance", 'label_values(tts_build_info{job=~"$job"}, instance)'))
    for name, metric in more:
        chosen.append(_choice(name, f"label_values({metric}{{{HERE}}}, {name})"))
    return chosen


def _choice(name: str, query: str) -> dashboard.QueryVariable:
    """All of them, some, or one."""
    everything = shapes.VariableOption(selected=True, text=["All"], value=["$__all"])
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(shapes.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(shapes.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(everything)
    )


def _source() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _others() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Speech")
        .type(shapes.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(True)
        .keep_time(True)
    )


def _fired() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr('ALERTS{alertstate="firing",job=~"$job"}')
    )
