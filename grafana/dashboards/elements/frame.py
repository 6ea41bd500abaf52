"""The common frame of all dashboards: variables, links between them, and rows of panels."""

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

from grafana.dashboards.elements.panels import DATASOURCE, Panel, runbook
from grafana.dashboards.elements.promql import DRIFT_TYPE, EXPERIMENT, MODEL, label_values, metric
from grafana.links import RUNBOOKS

TAG = "plumbline"
NAMES = "/^[^`]+$/"
"""Filter of variable values: a backtick would end the PromQL string that contains the name."""
Variable = Builder[VariableModel]


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, from left to right; a line is 24 units wide."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Annotation(Builder[AnnotationQuery]):
    """Marks on all graphs at the times when a query has a value; `tags`: labels shown with them."""

    name: str
    expression: str
    title: str
    tags: Sequence[str]
    color: str

    def build(self) -> AnnotationQuery:
        """Return the query with the additional fields of Grafana's Prometheus data source."""
        return _PrometheusAnnotation(self)


class _PrometheusAnnotation(AnnotationQuery):
    """Adds the fields of the Prometheus data source, which the SDK does not support."""

    def __init__(self, source: Annotation) -> None:
        super().__init__(
            source.name, DATASOURCE, icon_color=source.color, expr=source.expression, built_in=None
        )
        self._extra: dict[str, object] = {
            "titleFormat": source.title,
            "tagKeys": ",".join(source.tags),
            "useValueForTime": False,
        }

    def to_json(self) -> dict[str, object]:
        return super().to_json() | self._extra


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
    """Return a dashboard of these rows, with variables for data source, jobs and instances."""
    builder = builders.Dashboard(title).uid(uid).description(description).tags([TAG, uid])
    builder.readonly().time("now-6h", "now").refresh("1m").timezone("browser")
    builder.tooltip(DashboardCursorSync.CROSSHAIR)
    builder.variables([*_scope(), *variables, _runbooks()]).annotations(list(annotations))
    builder.links([*links, to_dashboards("Plumbline", TAG).as_dropdown(True)])
    for row in rows:
        builder.with_row(builders.Row(row.title))
        for panel in row.panels:
            builder.with_panel(panel)
    built = builder.build()
    for number, placed in zip(count(1), built.panels or [], strict=False):
        placed.id_val = number
    return built


def model(source: str, *, several: bool) -> Variable:
    """Return the variable of the models that the metric `source` has; one value, or `several`."""
    variable = _from_logs("model", "Model", label_values("model", metric(source)))
    return _all(variable) if several else variable


def feature() -> Variable:
    """Return the variable of the features of the selected model and types of drift."""
    features = label_values("feature", metric("drift_psi", MODEL, DRIFT_TYPE))
    return _all(_from_logs("feature", "Feature", features))


def drift_type() -> Variable:
    """Return the variable of the types of drift: data, prediction and concept.

    "All" also selects series of versions without the label.
    """
    types = label_values("drift_type", metric("drift_psi", MODEL))
    return _all(_query("drift_type", "Drift type", types)).all_value(".*")


def rubric() -> Variable:
    """Return the variable of the rubrics and RAGAS metrics of the selected models."""
    rubrics = label_values("rubric", metric("judge_score_count", MODEL))
    return _all(_query("rubric", "Rubric", rubrics))


def experiment() -> Variable:
    """Return the variable of the experiments that have results."""
    names = label_values("experiment", metric("experiment_users"))
    return _all(_from_logs("experiment", "Experiment", names))


def compared() -> Variable:
    """Return the variable of the metrics of the selected experiments."""
    names = label_values("metric", metric("experiment_mean", EXPERIMENT))
    return _all(_from_logs("metric", "Metric", names))


def to_runbook(title: str, alert: str) -> builders.DashboardLink:
    """Return a link to the runbook of an alert, for the top of a dashboard."""
    link = builders.DashboardLink(title).type(DashboardLinkType.LINK).icon("doc")
    return link.url(runbook(alert)).target_blank(True)


def to_page(title: str, url: str) -> builders.DashboardLink:
    """Return a link to a page of the web application, for the top of a dashboard."""
    link = builders.DashboardLink(title).type(DashboardLinkType.LINK).icon("external link")
    return link.url(url).target_blank(True)


def to_dashboards(title: str, tag: str) -> builders.DashboardLink:
    """Return links to all dashboards with a tag; they keep time range and variables.

    All Plumbline dashboards have the tag TAG, and each has its UID as a tag.
    """
    link = builders.DashboardLink(title).type(DashboardLinkType.DASHBOARDS).tags([tag])
    return link.keep_time(True).include_vars(True)


def _scope() -> list[Variable]:
    jobs = label_values("job", 'plumbline_build_info{job=~".+"}')
    instances = label_values("instance", 'plumbline_build_info{job=~"$job"}')
    return [
        builders.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _all(_query("job", "Job", jobs)),
        _all(_query("instance", "Instance", instances)),
    ]


def _runbooks() -> Variable:
    """Return the base URL of the runbooks: a constant, so that an import can change it."""
    return builders.ConstantVariable("runbooks").value(RUNBOOKS)


def _query(name: str, label: str, query: str) -> builders.QueryVariable:
    variable = builders.QueryVariable(name).label(label).query({"query": query, "refId": name})
    variable.datasource(DATASOURCE).sort(VariableSort.NATURAL_ASC)
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def _from_logs(name: str, label: str, query: str) -> builders.QueryVariable:
    """Return a variable whose values come from logs and are untrusted."""
    return _query(name, label, query).regex(NAMES)


def _all(variable: builders.QueryVariable) -> builders.QueryVariable:
    everything = VariableOption(True, ["All"], ["$__all"])
    return variable.multi(True).include_all(True).all_value(".+").current(everything)
