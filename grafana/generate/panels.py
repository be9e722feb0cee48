"""The panels of a dashboard: each has a question for a title, and a sentence of help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import NamedTuple, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as Timeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Graph
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as shapes
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = shapes.DataSourceRef("prometheus", "${datasource}")
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
_STEP = "1m"
"""The shortest step of a graph: speech is seldom so frequent that a shorter one tells more."""

Panel = Graph | Stat | Timeline | Table
_Any = TypeVar("_Any", Graph, Stat, Timeline, Table)
Steps = Sequence[tuple[float, str]]
"""From which value on which colour."""


class Line(NamedTuple):
    """One query, and what its lines are called."""

    expr: str
    legend: str = ""


class About(NamedTuple):
    """What every panel has. An `id` never changes: alerts link to it."""

    id: int
    title: str
    help: str
    unit: str


def graph(
    about: About,
    *lines: Line,
    steps: Steps = (),
    stacked: bool = False,
    most: float | None = None,
    width: int = 12,
) -> Panel:
    """Lines over time; steps are drawn as dashed limits."""
    panel = (
        _framed(Graph(), about, lines)
        .span(width)
        .height(8)
        .interval(_STEP)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 5)
        .show_points(words.VisibilityMode.AUTO)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(words.TooltipDisplayMode.MULTI))
    )
    if most is not None:
        panel.max(most)
    if stacked:
        panel.stacking(common.StackingConfig().mode(words.StackingMode.NORMAL))
    if steps:
        dashed = common.GraphThresholdsStyleConfig().mode(words.GraphTresholdsStyleMode.DASHED)
        panel.thresholds(_thresholds(steps, GREEN)).thresholds_style(dashed)
    return panel


def number(
    about: About, line: Line, *, steps: Steps = (), below: str = GREEN, width: int = 4
) -> Panel:
    """One value now, coloured by its steps; `below` is the colour under the first."""
    last = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    return (
        _framed(Stat(), about, [line], instant=True)
        .span(width)
        .height(4)
        .thresholds(_thresholds(steps, below))
        .color_mode(words.BigValueColorMode.BACKGROUND)
        .graph_mode(words.BigValueGraphMode.NONE)
        .reduce_options(last)
    )


def states(about: About, *lines: Line, named: Mapping[int, tuple[str, str]]) -> Panel:
    """A band over time for each line; `named` gives the word and the colour of each value."""
    values = {
        str(value): shapes.ValueMappingResult(text=word, color=colour, index=value)
        for value, (word, colour) in named.items()
    }
    return (
        _framed(Timeline(), about, lines)
        .span(12)
        .height(8)
        .interval(_STEP)
        .mappings([shapes.ValueMap(options=values)])
        .fill_opacity(70)
        .line_width(0)
        .show_value(words.VisibilityMode.NEVER)
        .legend(_legend())
    )


def rows(about: About, line: Line, *, hidden: Sequence[str] = ()) -> Panel:
    """A table with a row for each series; its labels are the columns, but for the `hidden`."""
    left_out = dict.fromkeys(("Time", "__name__", "Value", *hidden), True)
    tidied = shapes.DataTransformerConfig("organize", options={"excludeByName": left_out})
    panel = _framed(Table(), about, [line], instant=True).span(12).height(8).show_header(True)
    return panel.with_transformation(tidied)


def _framed(panel: _Any, about: About, lines: Sequence[Line], *, instant: bool = False) -> _Any:
    (
        panel.id(about.id)
        .title(about.title)
        .description(about.help)
        .unit(about.unit)
        .datasource(SOURCE)
        .no_value("no data")
    )
    for ref, line in zip(ascii_uppercase, lines, strict=False):
        query = prometheus.Dataquery().ref_id(ref).expr(line.expr).legend_format(line.legend)
        query.datasource(SOURCE)
        if instant:
            query.instant().format(PromQueryFormat.TABLE)
        panel.with_target(query)
    return panel


def _thresholds(steps: Steps, below: str) -> dashboard.ThresholdsConfig:
    colours = [shapes.Threshold(None, below)]
    colours += [shapes.Threshold(value, colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(shapes.ThresholdsMode.ABSOLUTE).steps(colours)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(words.LegendDisplayMode.LIST)
        .placement(words.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
