"""Grafana's own alerting, made from the rules of Prometheus and the routes of Alertmanager.

Prometheus fires for every series that an expression returns, whatever its value; Grafana for
values that are not zero. So a rule becomes three steps: A, the query at this instant; B, one
wherever A has a value; C, whether B is above zero.

Grafana replaces "$NAME" in what it is provisioned with by the environment, differently from
version to version. Nothing here holds a "$" where that is done: `.Labels` and `.Values` are what
`$labels` and `$values` stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import yaml

from grafana.alerts.rules import Alertmanager, Group, Route, Rule, matcher

FOLDER = "Plumbline"
DATASOURCE = "prometheus"
"""The uid of the data source that Grafana asks; change it where yours has another."""
INTERVAL = "1m"
_EXPRESSION = "__expr__"
_EXISTS = "is_number($A) || is_nan($A) || is_inf($A)"

Plain = dict[str, Any]
_TEMPLATE = re.compile(r"{{.*?}}", re.DOTALL)


def rules(found: Iterable[Group]) -> str:
    """The file of rules."""
    return _written({"groups": [_group(group) for group in found]})


def policies(found: Alertmanager) -> str:
    """The file of the notification policy, with the times at which nobody is told."""
    times = [{"orgId": 1, **msgspec.to_builtins(interval)} for interval in found.time_intervals]
    return _written({"muteTimes": times, "policies": [{"orgId": 1, **_route(found.route)}]})


def _written(content: Plain) -> str:
    head = "# Made by `make alerts` from grafana/alerts; change it there.\n"
    plain = {"apiVersion": 1, **content}
    return head + yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are read, and repeats instead of referring back."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _group(group: Group) -> Plain:
    return {
        "orgId": 1,
        "name": group.name,
        "folder": FOLDER,
        "interval": INTERVAL,
        "rules": [_rule(rule) for rule in group.rules],
    }


def _rule(rule: Rule) -> Plain:
    return {
        "uid": rule.runbook,
        "title": rule.alert,
        "condition": "C",
        "for": rule.wait,
        "noDataState": "OK",  # as in Prometheus: no series, no alert
        # Whoever is told that a query fails is told once, by the rule that says the most of it.
        "execErrState": "Error" if rule.alert == "PlumblineDown" else "KeepLast",
        "missing_series_evals_to_resolve": 1,
        "labels": dict(rule.labels),
        "annotations": {name: template(text) for name, text in rule.annotations.items()},
        "data": [_query(rule.expr), *_steps()],
    }


def template(text: str) -> str:
    """A template of Prometheus in the words of Grafana. Raises ValueError where it has none."""
    ours = _TEMPLATE.sub(lambda found: _translated(found[0]), text)
    if "$" in ours:
        raise ValueError(f"{text}: only $labels and $value are known to Grafana as well")
    return ours


def _translated(part: str) -> str:
    return part.replace("$labels.", ".Labels.").replace("$value", ".Values.A.Value")


def _query(expression: str) -> Plain:
    return {
        "refId": "A",
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": DATASOURCE,
        "model": {
            "refId": "A",
            "datasource": {"type": "prometheus", "uid": DATASOURCE},
            "expr": expression.strip(),
            "instant": True,
            "range": False,
            "intervalMs": 1000,
            "maxDataPoints": 43200,
        },
    }


def _steps() -> Sequence[Plain]:
    above = {"evaluator": {"type": "gt", "params": [0]}}
    return (
        _step("B", {"type": "math", "expression": _EXISTS}),
        _step("C", {"type": "threshold", "expression": "B", "conditions": [above]}),
    )


def _step(letter: str, model: Mapping[str, Any]) -> Plain:
    source = {"type": _EXPRESSION, "uid": _EXPRESSION}
    return {
        "refId": letter,
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": _EXPRESSION,
        "model": {"refId": letter, "datasource": source, **model},
    }


def _route(route: Route) -> Plain:
    """A route and its children; what it does not say is inherited."""
    said: Plain = {
        name: value
        for name, value in msgspec.to_builtins(route).items()
        if value and name not in {"matchers", "routes"}
    }
    if route.matchers:
        said["object_matchers"] = [list(matcher(text)) for text in route.matchers]
    if route.routes:
        said["routes"] = [_route(child) for child in route.routes]
    return said
