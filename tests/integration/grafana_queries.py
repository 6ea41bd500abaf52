"""The queries of a dashboard as Grafana sends them: variables asked for, escaped and put in.

After Grafana's Prometheus data source and its template service: a value of a variable that may have
several is escaped for a regular expression within a string, one that may not for a string in single
quotes (a double quote goes through: a hostile name breaks such a query in Grafana, and so it does
here); "All" is its own text; `${name:regex}` escapes for a regular expression alone, and `:raw` not
at all.
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
    """One query of a panel, ready to be run; `instant`: at one moment, else over time."""

    dashboard: str
    panel: str
    expression: str
    instant: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """What is chosen: values, or a text that stands for all; whether there may be several."""

    values: Sequence[str]
    all_text: str | None
    several: bool

    def text(self, form: str | None) -> str:
        """As it is put into a query."""
        if self.all_text is not None:
            return self.all_text
        if form == "raw":
            return ",".join(self.values)
        if form == "regex":
            return _either([re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", v) for v in self.values])
        if form is not None:
            raise ValueError(f"the format {form} is not known here")
        if not self.several:
            return self.values[0].replace("\\", "\\" * 2).replace("'", "\\\\'")
        escaped = [value.replace("\\", "\\" * 4) for value in self.values]
        return _either([re.sub(r"[$^*{}\[\]+?.()|]", r"\\\\\g<0>", value) for value in escaped])


def _either(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"({'|'.join(values)})"


def queries(
    file: Path, prometheus: Prometheus, chosen: Mapping[str, str], span: tuple[float, float]
) -> list[Query]:
    """All queries of a dashboard, its annotations and variables among them.

    chosen: variable -> the value that somebody has picked. span: the time that is looked at.
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
    """Title and target of every panel, those in rows included, and of every annotation."""
    for panel in dashboard.get("panels", []):
        yield from _targets(panel)
        for target in panel.get("targets", []):
            yield panel["title"], target
    for mark in dashboard.get("annotations", {}).get("list", []):
        if mark.get("expr"):
            yield f"annotation {mark['name']}", mark


def put_in(text: str, known: Mapping[str, Variable]) -> str:
    """The text with variables replaced; one that nobody knows stays, as in Grafana."""

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
    """What is chosen of a variable; None for one that no query is made of."""
    if definition["type"] == "constant":
        return Variable([definition["query"]], None, False)
    if definition["type"] != "query":
        return None
    offered = _offered(definition, known, prometheus, span)
    assert offered, f"the variable {definition['name']} offers nothing"
    several = bool(definition.get("multi") or definition.get("includeAll"))
    picked = chosen.get(definition["name"])
    if picked is not None:
        assert picked in offered, f"{picked} is not among {offered}"
        return Variable([picked], None, several)
    if definition.get("includeAll"):
        return Variable(offered, definition.get("allValue"), several)
    return Variable(offered[:1], None, several)


def _offered(
    definition: Json,
    known: Mapping[str, Variable],
    prometheus: Prometheus,
    span: tuple[float, float],
) -> list[str]:
    """The values that a query variable offers."""
    query = definition["query"]
    text = put_in(query if isinstance(query, str) else query["query"], known)
    asked = _LABELS.fullmatch(text.strip())
    assert asked, f"only label_values(...) is understood here, not {text}"
    match = {"match[]": asked["selector"]} if asked["selector"] else {}
    values: list[str] = prometheus.get(
        f"label/{asked['label']}/values", start=span[0], end=span[1], **match
    )
    pattern = (definition.get("regex") or "").strip("/")
    return [value for value in values if re.search(pattern, value)]
