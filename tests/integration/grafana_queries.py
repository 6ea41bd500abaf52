"""The queries of a dashboard as Grafana sends them, with the values of its variables.

As Grafana's Prometheus data source and template service do it: values of a multi-value variable are
escaped for a regular expression in a string; the value of another variable is escaped for a string
in single quotes, so that a double quote in a name breaks the query, as in Grafana. "All" has a text
of its own. `${name:regex}` escapes for a regular expression only, `${name:raw}` does not escape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.prometheus import Prometheus

Json = dict[str, Any]
SCRAPE_SECONDS = 1
BUILT_IN = {
    "__interval": f"{SCRAPE_SECONDS}s",
    "__interval_ms": f"{SCRAPE_SECONDS * 1000}",
    "__rate_interval": f"{SCRAPE_SECONDS * 4}s",
    "__range": "60s",
    "__range_s": "60",
    "__range_ms": "60000",
}
_NAME = re.compile(r"\$(?P<bare>\w+)|\$\{(?P<braced>\w+)(?::(?P<format>\w+))?\}")
_LABELS = re.compile(r"label_values\((?:(?P<selector>.+),\s*)?(?P<label>\w+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel, ready to run; `instant`: for one time, otherwise for a range."""

    dashboard: str
    panel: str
    expression: str
    instant: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """The selected values, or the text for all of them; whether several may be selected."""

    values: Sequence[str]
    all_text: str | None
    several: bool

    def text(self, form: str | None) -> str:
        """Return the text that replaces the variable in a query."""
        if self.all_text is not None:
            return self.all_text
        if form == "raw":
            return ",".join(self.values)
        if form == "regex":
            return _either([re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", v) for v in self.values])
        if form is not None:
            raise ValueError(f"unknown format of a variable: {form}")
        if not self.several:
            return self.values[0].replace("\\", "\\" * 2).replace("'", "\\\\'")
        escaped = [value.replace("\\", "\\" * 4) for value in self.values]
        return _either([re.sub(r"[$^*{}\[\]+?.()|]", r"\\\\\g<0>", value) for value in escaped])


def _either(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"({'|'.join(values)})"


def queries(
    file: Path, prometheus: Prometheus, chosen: Mapping[str, str], span: tuple[float, float]
) -> list[Query]:
    """Return all queries of a dashboard, including those of its annotations.

    chosen: variable -> the selected value. span: the time range of the dashboard.
    """
    dashboard: Json = json.loads(file.read_text())
    known: dict[str, Variable] = {}
    for each in dashboard.get("templating", {}).get("list", []):
        variable = _variable(each, known, prometheus, chosen, span)
        if variable is not None:
            known[each["name"]] = variable
    return [
        Query(file.name, panel, put_in(target["expr"], known), bool(target.get("instant")))
        for panel, target in _targets(dashboard)
    ]


def _targets(dashboard: Json) -> Iterator[tuple[str, Json]]:
    """Yield title and target of every panel, also of those in rows, and of every annotation."""
    for panel in dashboard.get("panels", []):
        yield from _targets(panel)
        for target in panel.get("targets", []):
            yield panel["title"], target
    for mark in dashboard.get("annotations", {}).get("list", []):
        if mark.get("expr"):
            yield f"annotation {mark['name']}", mark


def put_in(text: str, known: Mapping[str, Variable]) -> str:
    """Replace the variables in a text; an unknown one stays, as in Grafana."""

    def value(found: re.Match[str]) -> str:
        name = found["bare"] or found["braced"]
        if name in BUILT_IN:
            return BUILT_IN[name]
        return known[name].text(found["format"]) if name in known else found[0]

    return _NAME.sub(value, text)


def _variable(
    definition: Json,
    known: Mapping[str, Variable],
    prometheus: Prometheus,
    chosen: Mapping[str, str],
    span: tuple[float, float],
) -> Variable | None:
    """Return the selection of a variable; None for a type that queries do not use."""
    if definition["type"] == "constant":
        return Variable([definition["query"]], None, False)
    if definition["type"] != "query":
        return None
    options = _options(definition, known, prometheus, span)
    assert options, f"the variable {definition['name']} has no values"
    several = bool(definition.get("multi") or definition.get("includeAll"))
    picked = chosen.get(definition["name"])
    if picked is not None:
        assert picked in options, f"{picked} is not in {options}"
        return Variable([picked], None, several)
    if definition.get("includeAll"):
        return Variable(options, definition.get("allValue"), several)
    return Variable(options[:1], None, several)


def _options(
    definition: Json,
    known: Mapping[str, Variable],
    prometheus: Prometheus,
    span: tuple[float, float],
) -> list[str]:
    """Return the values that a query variable offers."""
    query = definition["query"]
    text = put_in(query if isinstance(query, str) else query["query"], known)
    query_parts = _LABELS.fullmatch(text.strip())
    assert query_parts, f"only label_values(...) is supported, not {text}"
    match = {"match[]": query_parts["selector"]} if query_parts["selector"] else {}
    values: list[str] = prometheus.get(
        f"label/{query_parts['label']}/values", start=span[0], end=span[1], **match
    )
    pattern = (definition.get("regex") or "").strip("/")
    return [value for value in values if re.search(pattern, value)]
