"""Constructors of panels. Every panel has a title, a description, a unit and its queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common, dashboard
from grafana_foundation_sdk.builders.prometheus import Dataquery as Query
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = DataSourceRef("prometheus", "${datasource}")
GREEN, BLUE, AMBER, RED = "green", "blue", "orange", "red"
SELECTION = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"

Names = Mapping[int, tuple[str, str]]
"""Value -> (text, colour)."""
Panel = Timeseries | Stat | StateTimeline | Table
P = TypeVar("P", Timeseries, Stat, StateTimeline, Table)


@dataclass(frozen=True, slots=True)
class Description:
    """Description of a panel: what it shows, what is normal, and what to do otherwise.

    alert: name of the alert for the same condition; the description links to its runbook.
    """

    shows: str
    normal: str
    otherwise: str
    alert: str = ""

    def __str__(self) -> str:
        link = f" [Runbook]({runbook(self.alert)})" if self.alert else ""
        return f"{self.shows}\n\n**Normal:** {self.normal}\n\n**If not:** {self.otherwise}{link}"


def runbook(alert: str) -> str:
    """Return the URL of an alert's runbook."""
    return f"${{runbooks:raw}}{alert.lower()}"


def query(expression: str, legend: str = "__auto") -> Query:
    """Return a range query; `legend` may contain labels as {{label}}."""
    return Query().expr(expression).legend_format(legend).range()


def instant(expression: str) -> Query:
    """Return an instant query."""
    return Query().expr(expression).instant()


def limits(
    warning: float | None = None, critical: float | None = None
) -> dashboard.ThresholdsConfig:
    """Return thresholds: green, amber from `warning`, red from `critical`."""
    steps = [Threshold(None, GREEN)]
    steps += [Threshold(warning, AMBER)] if warning is not None else []
    steps += [Threshold(critical, RED)] if critical is not None else []
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def graph(
    title: str,
    description: Description,
    unit: str,
    *queries: Query,
    thresholds: dashboard.ThresholdsConfig | None = None,
    stacked: bool = False,
    width: int = 8,
) -> Timeseries:
    """Return a graph over time; thresholds are drawn as dashed lines."""
    panel = _configured(Timeseries(), title, description, unit, queries, width, 8)
    panel.axis_soft_min(0).fill_opacity(20 if stacked else 0).line_width(1)
    panel.show_points(VisibilityMode.NEVER)
    panel.legend(_legend(["lastNotNull", "max"])).tooltip(
        common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if thresholds:
        style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel.thresholds(thresholds).thresholds_style(style)
    return panel


def dashed(panel: Timeseries, reference: str, color: str | None = None) -> Timeseries:
    """Draw the lines of the query with letter `reference` dashed, for limits among values."""
    style = DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]})
    fixed = DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})
    return panel.override_by_query(reference, [style, *([fixed] if color else [])])


def stat(
    title: str,
    description: Description,
    unit: str,
    expression: str,
    *,
    thresholds: dashboard.ThresholdsConfig | None = None,
    over_time: bool = True,
    width: int = 4,
) -> Stat:
    """Return a single number; `over_time`: with a graph of the time range in the background."""
    target = query(expression) if over_time else instant(expression)
    panel = _configured(Stat(), title, description, unit, [target], width, 4)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.graph_mode(BigValueGraphMode.AREA if over_time else BigValueGraphMode.NONE)
    return panel.thresholds(thresholds or limits())


def state_timeline(
    title: str,
    description: Description,
    expression: str,
    legend: str,
    names: Names,
    *,
    width: int = 12,
) -> StateTimeline:
    """Return a state timeline: a bar for each series, coloured by its value."""
    queries = [query(expression, legend)]
    panel = _configured(StateTimeline(), title, description, "none", queries, width, 8)
    panel.show_value(VisibilityMode.NEVER).merge_values(True).row_height(0.8).fill_opacity(80)
    panel.legend(_legend([])).mappings([_value_map(names)])
    return panel.thresholds(limits())


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: an instant query with its unit, and thresholds or names of values."""

    name: str
    unit: str
    expression: str
    thresholds: dashboard.ThresholdsConfig | None = None
    decimals: int | None = None
    names: Names | None = None


def table(
    title: str,
    description: Description,
    keys: Mapping[str, str],
    columns: Sequence[Column],
    *,
    sort_by: str,
    link: dashboard.DashboardLink | None = None,
    width: int = 24,
) -> Table:
    """Return a table with a row for each combination of labels, the largest `sort_by` first.

    keys: label -> heading. link: target of a click on the first key.
    """
    queries = [instant(column.expression).format(PromQueryFormat.TABLE) for column in columns]
    panel = _configured(Table(), title, description, "none", queries, width, 9)
    panel.thresholds(limits())
    fields = [f"Value #{each}" for each in "ABCDEFGH"] if len(columns) > 1 else ["Value"]
    values = dict(zip(fields, (column.name for column in columns), strict=False))
    order = {name: index for index, name in enumerate([*keys, *values])}
    panel.with_transformation(DataTransformerConfig("merge", options={}))
    panel.with_transformation(
        DataTransformerConfig(
            "organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": order,
                "renameByName": {**keys, **values},
            },
        )
    )
    for column in columns:
        panel.override_by_name(column.name, _properties(column))
    if link:
        panel.override_by_name(
            next(iter(keys.values())), [DynamicConfigValue("links", [link.build()])]
        )
    return panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(True)])


def dashboard_link(title: str, path: str) -> dashboard.DashboardLink:
    """Return a link to a dashboard (UID and query) that keeps time range and variables."""
    return dashboard.DashboardLink(title).url(f"/d/{path}&{SELECTION}")


def _properties(column: Column) -> list[DynamicConfigValue]:
    properties = [DynamicConfigValue("unit", column.unit)]
    if column.decimals is not None:
        properties.append(DynamicConfigValue("decimals", column.decimals))
    if column.thresholds:
        properties.append(DynamicConfigValue("thresholds", column.thresholds.build()))
    if column.names:
        properties.append(DynamicConfigValue("mappings", [_value_map(column.names)]))
    if column.thresholds or column.names:
        cell = {"type": "color-text"}
        properties.append(DynamicConfigValue("custom.cellOptions", cell))
    return properties


def _value_map(names: Names) -> ValueMap:
    return ValueMap(
        {
            str(value): ValueMappingResult(text=text, color=color, index=value)
            for value, (text, color) in names.items()
        }
    )


def _legend(calculations: list[str]) -> common.VizLegendOptions:
    mode = LegendDisplayMode.TABLE if calculations else LegendDisplayMode.LIST
    legend = common.VizLegendOptions().display_mode(mode).placement(LegendPlacement.BOTTOM)
    return legend.show_legend(True).calcs(calculations)


def _configured(
    panel: P,
    title: str,
    description: Description,
    unit: str,
    queries: Sequence[Query],
    width: int,
    height: int,
) -> P:
    """Set the properties that all panels have."""
    panel.title(title).description(str(description)).unit(unit)
    panel.datasource(DATASOURCE).span(width).height(height)
    for letter, each in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(each.ref_id(letter).datasource(DATASOURCE))
    return panel
