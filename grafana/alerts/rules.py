"""Typed access to the rules of Prometheus and the routes of Alertmanager."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

import msgspec
import yaml

from grafana.links import RUNBOOKS

FOLDER = Path(__file__).parent
RULES = FOLDER / "plumbline.rules.yaml"
ALERTMANAGER = FOLDER / "alertmanager.yaml"
GRAFANA = "https://plumbline.example/grafana"
"""Base URL of Grafana. A placeholder: the option `--grafana` of the build replaces it."""

_MATCHER = re.compile(r'(?P<label>\w+)(?P<operator>=~|!~|!=|=)"(?P<value>[^"\\]*)"')


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alert rule.

    expr: PromQL. wait: the duration `for` which the expression must hold, in Prometheus' notation.
    """

    alert: str
    expr: str
    wait: str = msgspec.field(name="for")
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def runbook(self) -> str:
        """Name of its page in docs/runbooks, without the suffix."""
        return self.alert.lower()


class RecordingRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An expression whose result Prometheus stores under the name `record`."""

    record: str
    expr: str


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alert rules that are evaluated together."""

    name: str
    rules: list[Rule]


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node of the routing tree: receiver, grouping and timing. Children override its fields."""

    receiver: str | None = None
    matchers: list[str] = []
    group_by: list[str] | None = None
    group_wait: str | None = None
    group_interval: str | None = None
    repeat_interval: str | None = None
    mute_time_intervals: list[str] | None = None
    routes: list[Route] = []


class TimeInterval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Named times of day."""

    name: str
    time_intervals: list[dict[str, list[dict[str, str]]]]


class Alertmanager(msgspec.Struct, frozen=True):
    """The part of Alertmanager's configuration that Grafana supports; it has no inhibition."""

    route: Route
    time_intervals: list[TimeInterval]


class _RawGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of the rule file: alert rules and recording rules."""

    name: str
    rules: list[dict[str, Any]]


def groups(text: str) -> Sequence[Group]:
    """Return the alert rules of a rule file by group, with recording rules inlined.

    Raises msgspec.ValidationError for a missing, unknown or mistyped field.
    """
    raw = msgspec.convert(yaml.safe_load(text), dict[str, list[_RawGroup]])["groups"]
    every = [rule for group in raw for rule in group.rules]
    recorded = msgspec.convert([rule for rule in every if "record" in rule], list[RecordingRule])
    return [
        Group(
            group.name, [_inlined(rule, recorded) for rule in group.rules if "record" not in rule]
        )
        for group in raw
    ]


def _inlined(raw: Mapping[str, Any], recorded: Sequence[RecordingRule]) -> Rule:
    """Return an alert rule with recording rules inlined, because Grafana does not evaluate them."""
    rule = msgspec.convert(raw, Rule)
    for each in recorded:
        expression = rule.expr.replace(each.record, "(\n" + indent(each.expr, "  ") + ")")
        rule = msgspec.structs.replace(rule, expr=expression)
    return rule


def alertmanager(text: str) -> Alertmanager:
    """Parse Alertmanager's configuration. Raises msgspec.ValidationError."""
    return msgspec.convert(yaml.safe_load(text), Alertmanager)


def parse_matcher(text: str) -> tuple[str, str, str]:
    """Return label, operator and value of `label="value"`. Raises ValueError for other forms."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f'{text}: write a matcher as label="value", with =, !=, =~ or !~')
    return found["label"], found["operator"], found["value"]


def with_links(text: str, runbooks: str, grafana: str) -> str:
    """Return the rule file with the placeholder URLs replaced."""
    return text.replace(RUNBOOKS, runbooks).replace(GRAFANA, grafana)


def by_name(found: Sequence[Group]) -> Mapping[str, Rule]:
    """Return the rules by alert name."""
    return {rule.alert: rule for group in found for rule in group.rules}
