"""Rules for dashboards: those of grafana/dashboard-linter, and additional ones.

The linter is a Go program that is not available on every machine, so this module implements its
rules under the same names. They check the syntax tree of each query. A rule yields a description of
each violation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import promql_parser as promql
from prometheus_client.metrics_core import Metric

from tests.grafana.dashboards import variables

Dashboard = Mapping[str, Any]
Rule = Callable[[Dashboard], Iterator[str]]
Node = promql.Expr
UNITS = {"none", "short", "percentunit", "s", "ms", "bytes", "Bps", "cps", "reqps", "currencyUSD"}
"""Ids of Grafana's units; Grafana would show an unknown id as text beside the number."""
SOURCES = {"$datasource", "${datasource}"}
FROM_LOGS = ("model", "feature", "experiment", "metric")
SCRAPE_METRICS = {"up": set[str](), "scrape_samples_post_metric_relabeling": set[str]()}
"""Metrics that Prometheus adds for each target, with their labels."""


# --- parts of a dashboard ---------------------------------------------------------------------


def panels(dashboard: Dashboard) -> list[Dashboard]:
    """Return all panels except row headings."""
    found = [*dashboard["panels"], *(p for r in dashboard["panels"] for p in r.get("panels", []))]
    return [panel for panel in found if panel["type"] != "row"]


def targets(dashboard: Dashboard) -> list[tuple[str, str]]:
    """Return (location, query) of every panel and annotation."""
    found = [
        (f"{panel.get('title')}, {target.get('refId')}", target["expr"])
        for panel in panels(dashboard)
        for target in panel.get("targets", [])
    ]
    marks = dashboard["annotations"]["list"]
    return found + [(f"annotation {each['name']}", each["expr"]) for each in marks]


def queried(dashboard: Dashboard) -> list[Dashboard]:
    """Return the variables whose values come from a query."""
    return [each for each in dashboard["templating"]["list"] if each["type"] == "query"]


def sources(dashboard: Dashboard) -> list[tuple[str, str]]:
    """Return (location, selector) of every variable."""
    found = []
    for each in queried(dashboard):
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", each["query"]["query"])
        found.append((f"variable {each['name']}", match[1] if match else each["query"]["query"]))
    return found


def parse(query: str, values: variables.Values | None = None) -> Node | None:
    """Return the syntax tree of a query with variables interpolated; None if it is invalid."""
    interpolated = variables.interpolate(query, values or dict.fromkeys(FROM_LOGS, "x"))
    try:
        return promql.parse(re.sub(r"`([^`]*)`", _quoted, interpolated))
    except ValueError:
        return None


def _quoted(raw: re.Match[str]) -> str:
    """Return a raw string as a quoted string: this parser interprets escapes in both."""
    return json.dumps(raw[1], ensure_ascii=False)


def nodes(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield every node of a tree with its ancestors, the parent last."""
    yield node, above
    below = [getattr(node, name, None) for name in ("expr", "param", "lhs", "rhs")]
    below += [getattr(node, "vector_selector", None), *getattr(node, "args", [])]
    for each in below:
        if isinstance(each, promql.Expr):
            yield from nodes(each, (*above, node))


def selectors(
    places: list[tuple[str, str]],
) -> Iterator[tuple[str, promql.VectorSelector, tuple[Any, ...]]]:
    """Yield (location, selector, ancestors) of every valid query."""
    for where, query in places:
        for node, above in nodes(parse(query)):
            if isinstance(node, promql.VectorSelector):
                yield where, node, above


# --- rules of the linter, with its names ------------------------------------------------------


def template_datasource(dashboard: Dashboard) -> Iterator[str]:
    """There is one variable for the data source, named `datasource`."""
    found = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
    known = [(v["name"], v["label"], v["query"]) for v in found]
    if known != [("datasource", "Data source", "prometheus")]:
        yield f"data source variables {known}"


def template_job_and_instance(dashboard: Dashboard) -> Iterator[str]:
    """Several jobs and instances can be selected, and "All" is `.+`."""
    for name in ("job", "instance"):
        found = [v for v in queried(dashboard) if v["name"] == name]
        expected = (name.title(), True, ".+")
        known = [(v["label"], v["multi"], v["allValue"]) for v in found]
        if known != [expected] or found[0]["datasource"]["uid"] not in SOURCES:
            yield f"variable {name}: {known}"


def template_label_promql(dashboard: Dashboard) -> Iterator[str]:
    """The query of a variable selects the values of a label."""
    for where, selector in sources(dashboard):
        if not isinstance(parse(selector), promql.VectorSelector):
            yield f"{where}: {selector}"


def template_on_time_change_reload(dashboard: Dashboard) -> Iterator[str]:
    """Variables are queried again when the time range changes."""
    yield from (v["name"] for v in queried(dashboard) if v["refresh"] != 2)


def panel_datasource(dashboard: Dashboard) -> Iterator[str]:
    """Every panel and every query uses the selected data source."""
    for panel in panels(dashboard):
        for part in (panel, *panel.get("targets", [])):
            if (part.get("datasource") or {}).get("uid") not in SOURCES:
                yield f"{panel.get('title')}: {part.get('datasource')}"


def panel_title_description(dashboard: Dashboard) -> Iterator[str]:
    """Every panel has a title, and a description with content, normal state and action."""
    for panel in panels(dashboard):
        text = panel.get("description") or ""
        parts = re.fullmatch(r".{20,}\n\n\*\*Normal:\*\* .{4,}\n\n\*\*If not:\*\* .{10,}", text)
        if not panel.get("title") or not parts:
            yield f"{panel.get('title')!r}: {text!r}"


def panel_units(dashboard: Dashboard) -> Iterator[str]:
    """Every panel has a unit, and every unit is one of Grafana's."""
    for panel in panels(dashboard):
        config = panel["fieldConfig"]
        units = [config["defaults"].get("unit")]
        properties = [p for each in config["overrides"] for p in each["properties"]]
        units += [p["value"] for p in properties if p["id"] == "unit"]
        yield from (f"{panel['title']}: {unit}" for unit in units if unit not in UNITS)


def panel_no_targets(dashboard: Dashboard) -> Iterator[str]:
    """Every panel has a query."""
    yield from (panel["title"] for panel in panels(dashboard) if not panel.get("targets"))


def target_promql(dashboard: Dashboard) -> Iterator[str]:
    """Every query is valid PromQL."""
    yield from (f"{where}: {query}" for where, query in targets(dashboard) if not parse(query))


def target_rate_interval(dashboard: Dashboard) -> Iterator[str]:
    """Rates use $__rate_interval, so that they are correct at any zoom level."""
    span = promql.parse_duration(variables.BUILT_IN["__rate_interval"])
    for where, query in targets(dashboard):
        for node, above in nodes(parse(query)):
            if isinstance(node, promql.MatrixSelector) and node.range != span:
                called = above[-1].func.name if above else None
                if called in {"rate", "irate"}:
                    yield f"{where}: {query}"


def target_job_and_instance(dashboard: Dashboard) -> Iterator[str]:
    """Every query selects the chosen jobs and instances."""
    for where, selector, _ in selectors(targets(dashboard)):
        found = {(m.name, m.value) for m in selector.matchers.matchers if m.op == promql.MatchOp.Re}
        if not {("job", "$job"), ("instance", "$instance")} <= found:
            yield f"{where}: {selector}"


def target_counter_agg(dashboard: Dashboard) -> Iterator[str]:
    """Counters are not shown raw, because their value depends on the start of the process.

    min_over_time is allowed: it returns the first value of a new series, which `increase` omits.
    """
    for where, selector, above in selectors(targets(dashboard)):
        calls = [node.func.name for node in above[-2:] if isinstance(node, promql.Call)]
        counter = (selector.name or "").endswith(("_total", "_count", "_sum", "_bucket"))
        if counter and calls not in (["rate"], ["irate"], ["increase"], ["min_over_time"]):
            yield f"{where}: {selector}"


def target_histogram(dashboard: Dashboard) -> Iterator[str]:
    """Buckets are used only in quantiles, and aggregations keep their bounds."""
    for where, selector, above in selectors(targets(dashboard)):
        if (selector.name or "").endswith("_bucket"):
            calls = {node.func.name for node in above if isinstance(node, promql.Call)}
            sums = [node for node in above if isinstance(node, promql.AggregateExpr)]
            kept = all(node.modifier and "le" in node.modifier.labels for node in sums)
            if "histogram_quantile" not in calls or not kept:
                yield f"{where}: {selector}"


def uneditable_dashboard(dashboard: Dashboard) -> Iterator[str]:
    """Dashboards are read-only, because the next release would overwrite changes."""
    if dashboard["editable"]:
        yield "is editable"


# --- additional rules -------------------------------------------------------------------------


def hostile_names(dashboard: Dashboard) -> Iterator[str]:
    """Queries contain names from logs as escaped regexes in backticks; names have no backticks."""
    for where, query in [*targets(dashboard), *sources(dashboard)]:
        rest = re.sub(r"=~`\$\{\w+:regex\}`", "", query)
        if re.search(rf"\$\{{?({'|'.join(FROM_LOGS)})\b", rest):
            yield f"{where}: {query}"
    for each in queried(dashboard):
        if each["name"] in FROM_LOGS and each.get("regex") != "/^[^`]+$/":
            yield f"variable {each['name']}: offers {each.get('regex')}"


def links_escape_names(dashboard: Dashboard) -> Iterator[str]:
    """Values in URLs are percent-encoded."""
    for text in variables.strings(dashboard):
        for value in re.findall(r"=(\$\{__\w+[.\w]*(?::\w+)?\})", text if "/d/" in text else ""):
            if not value.endswith(":percentencode}"):
                yield text


def variables_exist(dashboard: Dashboard) -> Iterator[str]:
    """Every used variable is defined, and every defined variable is used."""
    defined = {each["name"] for each in dashboard["templating"]["list"]}
    used = {name for name in variables.used(dashboard) if not name.startswith("__")}
    yield from sorted(defined ^ used)


def numbered(dashboard: Dashboard) -> Iterator[str]:
    """Panels have unique ids, and queries of a panel have unique letters."""
    ids = [panel.get("id") for panel in dashboard["panels"]]
    if len({*ids, None}) != len(ids) + 1:
        yield f"ids {ids}"
    for panel in panels(dashboard):
        letters = [target.get("refId") for target in panel.get("targets", [])]
        if len({*letters, None}) != len(letters) + 1:
            yield f"{panel['title']}: queries {letters}"


def laid_out(dashboard: Dashboard) -> Iterator[str]:
    """Panels do not overlap and fit into 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        x, y, w, h = (panel["gridPos"][key] for key in "xywh")
        cells = {(column, row) for column in range(x, x + w) for row in range(y, y + h)}
        if x + w > 24 or taken & cells:
            yield f"{panel['title']}: {panel['gridPos']}"
        taken |= cells


def metrics_exist(known: Mapping[str, set[str]]) -> Rule:
    """Return the rule that every queried metric is exported with the queried labels.

    known: name of a sample -> its labels.
    """
    known = {**known, **SCRAPE_METRICS}

    def rule(dashboard: Dashboard) -> Iterator[str]:
        for where, selector, _ in selectors([*targets(dashboard), *sources(dashboard)]):
            labels = {m.name for m in selector.matchers.matchers} - {"job", "instance"}
            if selector.name not in known or not labels <= known[selector.name]:
                yield f"{where}: {selector}"

    return rule


def exported(families: Iterable[Metric]) -> dict[str, set[str]]:
    """Return the labels of all exported samples by name."""
    found: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        template_datasource,
        template_job_and_instance,
        template_label_promql,
        template_on_time_change_reload,
        panel_datasource,
        panel_title_description,
        panel_units,
        panel_no_targets,
        target_promql,
        target_rate_interval,
        target_job_and_instance,
        target_counter_agg,
        target_histogram,
        uneditable_dashboard,
        hostile_names,
        links_escape_names,
        variables_exist,
        numbered,
        laid_out,
    )
}
