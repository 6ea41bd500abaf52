"""Panels in a few words each: every one has a title, a description, a unit and its queries."""

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
GREEN, AMBER, RED = "green", "orange", "red"
CHOSEN = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"

Names = Mapping[int, tuple[str, str]]
"""Value -> its text and colour."""
Panel = Timeseries | Stat | StateTimeline | Table
P = TypeVar("P", Timeseries, Stat, StateTimeline, Table)


@dataclass(frozen=True, slots=True)
class Words:
    """What a panel says of itself: what it shows, what is normal, what to do when it is not.

    alert: the one that watches over it, whose runbook is linked.
    """

    shows: str
    normal: str
    otherwise: str
    alert: str = ""

    def __str__(self) -> str:
        more = f" [Runbook]({runbook(self.alert)})" if self.alert else ""
        return f"{self.shows}\n\n**Normal:** {self.normal}\n\n**If not:** {self.otherwise}{more}"


def runbook(alert: str) -> str:
    """The address of an alert's runbook."""
    return f"${{runbooks:raw}}{alert.lower()}"


def query(expression: str, legend: str = "__auto") -> Query:
    """A query over time; `legend` may hold labels as {{label}}."""
    return Query().expr(expression).legend_format(legend).range()


def now(expression: str) -> Query:
    """A query of this moment."""
    return Query().expr(expression).instant()


def limits(
    warning: float | None = None, critical: float | None = None
) -> dashboard.ThresholdsConfig:
    """Green, and from these values on amber and red."""
    steps = [Threshold(None, GREEN)]
    steps += [Threshold(warning, AMBER)] if warning is not None else []
    steps += [Threshold(critical, RED)] if critical is not None else []
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def graph(
    title: str,
    words: Words,
    unit: str,
    *queries: Query,
    thresholds: dashboard.ThresholdsConfig | None = None,
    stacked: bool = False,
    width: int = 8,
) -> Timeseries:
    """Lines over time; thresholds are drawn as dashed lines."""
    panel = _framed(Timeseries(), title, words, unit, queries, width, 8)
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
    """Draw the lines of one query, by its letter, as dashes: limits among values."""
    style = DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]})
    fixed = DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})
    return panel.override_by_query(reference, [style, *([fixed] if color else [])])


def stat(
    title: str,
    words: Words,
    unit: str,
    expression: str,
    *,
    thresholds: dashboard.ThresholdsConfig | None = None,
    over_time: bool = True,
    width: int = 4,
) -> Stat:
    """A number, with its course behind it where it is known `over_time`."""
    asked = query(expression) if over_time else now(expression)
    panel = _framed(Stat(), title, words, unit, [asked], width, 4)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.graph_mode(BigValueGraphMode.AREA if over_time else BigValueGraphMode.NONE)
    return panel.thresholds(thresholds or limits())


def states(
    title: str,
    words: Words,
    expression: str,
    legend: str,
    names: Names,
    *,
    width: int = 12,
) -> StateTimeline:
    """A bar over time for each series."""
    panel = _framed(StateTimeline(), title, words, "none", [query(expression, legend)], width, 8)
    panel.show_value(VisibilityMode.NEVER).merge_values(True).row_height(0.8).fill_opacity(80)
    panel.legend(_legend([])).mappings([_named(names)])
    return panel.thresholds(limits())


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a query of this moment, with a unit, and thresholds or names."""

    name: str
    unit: str
    expression: str
    thresholds: dashboard.ThresholdsConfig | None = None
    decimals: int | None = None
    names: Names | None = None


def table(
    title: str,
    words: Words,
    keys: Mapping[str, str],
    columns: Sequence[Column],
    *,
    sort_by: str,
    link: dashboard.DashboardLink | None = None,
    width: int = 24,
) -> Table:
    """A row for each combination of the `keys` (label -> heading), the largest `sort_by` first.

    link: where a click on the first key leads.
    """
    queries = [now(column.expression).format(PromQueryFormat.TABLE) for column in columns]
    panel = _framed(Table(), title, words, "none", queries, width, 9).thresholds(limits())
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


def lead(title: str, place: str) -> dashboard.DashboardLink:
    """What a click on a value opens: a dashboard, with the choices made here."""
    return dashboard.DashboardLink(title).url(f"/d/{place}&{CHOSEN}")


def _properties(column: Column) -> list[DynamicConfigValue]:
    properties = [DynamicConfigValue("unit", column.unit)]
    if column.decimals is not None:
        properties.append(DynamicConfigValue("decimals", column.decimals))
    if column.thresholds:
        properties.append(DynamicConfigValue("thresholds", column.thresholds.build()))
    if column.names:
        properties.append(DynamicConfigValue("mappings", [_named(column.names)]))
    if column.thresholds or column.names:
        cell = {"type": "color-text"}
        properties.append(DynamicConfigValue("custom.cellOptions", cell))
    return properties


def _named(names: Names) -> ValueMap:
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


def _framed(
    panel: P, title: str, words: Words, unit: str, queries: Sequence[Query], width: int, height: int
) -> P:
    """What every panel has."""
    panel.title(title).description(str(words)).unit(unit)
    panel.datasource(DATASOURCE).span(width).height(height)
    for letter, each in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(each.ref_id(letter).datasource(DATASOURCE))
    return panel
