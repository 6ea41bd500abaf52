"""What all dashboards share: variables, links between them, and rows of panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from grafana.dashboards.panels import DATASOURCE, Panel, runbook
from grafana.dashboards.promql import MODEL, own, values_of
from grafana.links import RUNBOOKS

TAG = "plumbline"
NAMES = "/^[^`]+$/"
"""What a variable offers: a backtick would end the string that a name is put into."""
Variable = Builder[VariableModel]


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, from left to right; a line is 24 wide."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Annotation(Builder[AnnotationQuery]):
    """Marks on all graphs where a query has a value; `tags`: labels shown with them."""

    name: str
    expression: str
    title: str
    tags: Sequence[str]
    color: str

    def build(self) -> AnnotationQuery:
        """The query with the fields that Grafana's Prometheus source reads beside it."""
        return _PrometheusAnnotation(self)


class _PrometheusAnnotation(AnnotationQuery):
    """The SDK knows the fields that all sources share, and these are not among them."""

    def __init__(self, made: Annotation) -> None:
        super().__init__(
            made.name, DATASOURCE, icon_color=made.color, expr=made.expression, built_in=None
        )
        self._more: dict[str, object] = {
            "titleFormat": made.title,
            "tagKeys": ",".join(made.tags),
            "useValueForTime": False,
        }

    def to_json(self) -> dict[str, object]:
        return super().to_json() | self._more


def dashboard(
    title: str,
    uid: str,
    description: str,
    rows: Sequence[Row],
    *,
    variables: Sequence[Variable] = (),
    annotations: Sequence[Annotation] = (),
    links: Sequence[builders.DashboardLink] = (),
) -> Dashboard:
    """A dashboard of these rows, on the chosen data source, jobs and instances."""
    made = builders.Dashboard(title).uid(uid).description(description).tags([TAG, uid]).readonly()
    made.time("now-6h", "now").refresh("1m").timezone("browser")
    made.tooltip(DashboardCursorSync.CROSSHAIR)
    made.variables([*_scope(), *variables, _runbooks()]).annotations(list(annotations))
    made.links([*links, to_dashboards("Plumbline", TAG).as_dropdown(True)])
    for row in rows:
        made.with_row(builders.Row(row.title))
        for panel in row.panels:
            made.with_panel(panel)
    built = made.build()
    for number, placed in zip(count(1), built.panels or [], strict=False):
        placed.id_val = number
    return built


def model(metric: str, *, several: bool) -> Variable:
    """The models that a metric knows; one of them, or any number."""
    chosen = values_of("model", own(metric))
    return _all(_labels("model", "Model", chosen)) if several else _labels("model", "Model", chosen)


def feature() -> Variable:
    """The features of the chosen model."""
    return _all(_labels("feature", "Feature", values_of("feature", own("drift_psi", MODEL))))


def to_runbook(title: str, alert: str) -> builders.DashboardLink:
    """A link to the runbook of an alert, at the top of a dashboard."""
    link = builders.DashboardLink(title).type(DashboardLinkType.LINK).icon("doc")
    return link.url(runbook(alert)).target_blank(True)


def to_dashboards(title: str, tag: str) -> builders.DashboardLink:
    """A link to the dashboards with a tag, with the choices made here; none where there are none.

    TAG is on all of ours, and each has its uid for a tag as well.
    """
    link = builders.DashboardLink(title).type(DashboardLinkType.DASHBOARDS).tags([tag])
    return link.keep_time(True).include_vars(True)


def _scope() -> list[Variable]:
    jobs = values_of("job", 'plumbline_build_info{job=~".+"}')
    instances = values_of("instance", 'plumbline_build_info{job=~"$job"}')
    return [
        builders.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _all(_query("job", "Job", jobs)),
        _all(_query("instance", "Instance", instances)),
    ]


def _runbooks() -> Variable:
    """Where the runbooks are: a constant, so that an import can change it."""
    return builders.ConstantVariable("runbooks").value(RUNBOOKS)


def _query(name: str, label: str, query: str) -> builders.QueryVariable:
    made = builders.QueryVariable(name).label(label).query({"query": query, "refId": name})
    made.datasource(DATASOURCE).sort(VariableSort.NATURAL_ASC)
    return made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def _labels(name: str, label: str, query: str) -> builders.QueryVariable:
    """A variable whose values come from a log, and are hostile."""
    return _query(name, label, query).regex(NAMES)


def _all(variable: builders.QueryVariable) -> builders.QueryVariable:
    everything = VariableOption(True, ["All"], ["$__all"])
    return variable.multi(True).include_all(True).all_value(".+").current(everything)
