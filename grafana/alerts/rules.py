"""The rules and routes as they are written for Prometheus and Alertmanager, typed."""

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
"""Where Grafana is. Nobody owns this address; `build --grafana` writes yours."""

_MATCHER = re.compile(r'(?P<label>\w+)(?P<operator>=~|!~|!=|=)"(?P<value>[^"\\]*)"')


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One alert rule; `expr`, PromQL; `wait`, how long it must hold, as Prometheus writes it."""

    alert: str
    expr: str
    wait: str = msgspec.field(name="for")
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def runbook(self) -> str:
        """The name of its page in docs/runbooks."""
        return self.alert.lower()


class Recorded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An expression that Prometheus evaluates under a name (`record`), for others to read."""

    record: str
    expr: str


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules that are evaluated together."""

    name: str
    rules: list[Rule]


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts go, and what makes one message of them; children may say otherwise."""

    receiver: str | None = None
    matchers: list[str] = []
    group_by: list[str] | None = None
    group_wait: str | None = None
    group_interval: str | None = None
    repeat_interval: str | None = None
    mute_time_intervals: list[str] | None = None
    routes: list[Route] = []


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times of day by name."""

    name: str
    time_intervals: list[dict[str, list[dict[str, str]]]]


class Alertmanager(msgspec.Struct, frozen=True):
    """As much of Alertmanager's configuration as Grafana has as well: it knows no inhibition."""

    route: Route
    time_intervals: list[Interval]


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group as it is in the file: alerts, and what is recorded for them."""

    name: str
    rules: list[dict[str, Any]]


def groups(text: str) -> Sequence[Group]:
    """The alerts of a rule file, in their groups; what is recorded stands where it was named.

    Raises msgspec.ValidationError, naming what is wrong.
    """
    found = msgspec.convert(yaml.safe_load(text), dict[str, list[_Written]])["groups"]
    every = [rule for group in found for rule in group.rules]
    records = msgspec.convert([rule for rule in every if "record" in rule], list[Recorded])
    return [
        Group(group.name, [_whole(rule, records) for rule in group.rules if "record" not in rule])
        for group in found
    ]


def _whole(plain: Mapping[str, Any], records: Sequence[Recorded]) -> Rule:
    """An alert whose expression needs nothing recorded: Grafana records nothing."""
    rule = msgspec.convert(plain, Rule)
    for each in records:
        whole = rule.expr.replace(each.record, "(\n" + indent(each.expr, "  ") + ")")
        rule = msgspec.structs.replace(rule, expr=whole)
    return rule


def alertmanager(text: str) -> Alertmanager:
    """The routes of Alertmanager's configuration. Raises msgspec.ValidationError."""
    return msgspec.convert(yaml.safe_load(text), Alertmanager)


def matcher(text: str) -> tuple[str, str, str]:
    """Label, operator and value of `label="value"`. Raises ValueError for any other form."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f'{text}: a matcher is written label="value", with =, !=, =~ or !~')
    return found["label"], found["operator"], found["value"]


def moved(text: str, runbooks: str, grafana: str) -> str:
    """A rule file whose links lead to these addresses."""
    return text.replace(RUNBOOKS, runbooks).replace(GRAFANA, grafana)


def by_name(found: Sequence[Group]) -> Mapping[str, Rule]:
    """Alert -> its rule."""
    return {rule.alert: rule for group in found for rule in group.rules}
