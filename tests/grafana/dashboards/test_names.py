"""Tests that hostile names from logs neither break a query nor change what it selects."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import promql_parser as promql
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from grafana.dashboards import build
from grafana.dashboards.elements import promql as queries
from tests.debian import needed
from tests.grafana.dashboards import rules
from tests.grafana.dashboards.variables import interpolate

HOSTILE = [
    'a"b\\c.*{}',
    '"} or vector(1) #',
    "\\",
    "a|b",
    "${job}",
    "$model",
    "模型-🤖",
    "'",
    "a/b",
]
QUOTE = '"'
NAMES = st.text(st.characters(exclude_characters="`", exclude_categories=["C"]), min_size=1)


def matched(name: str) -> str:
    """Return the regular expression in the query when this model is selected."""
    selector = rules.parse(queries.metric("drift_psi", queries.MODEL), {"model": name})
    assert isinstance(selector, promql.VectorSelector)
    [matcher] = [m for m in selector.matchers.matchers if m.name == "model"]
    return matcher.value


@given(NAMES, NAMES)
@example('a"b\\c.*{}', "a")
@example("a|b", "b")
def test_a_name_matches_itself_and_no_other(name: str, other: str) -> None:
    """The query of a model with any name selects only this model."""
    assert re.fullmatch(matched(name), name)
    assert bool(re.fullmatch(matched(name), other)) == (name == other)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("file", build.DASHBOARDS)
def test_every_query_stays_valid(file: str, name: str) -> None:
    """With a hostile model and feature selected, every query keeps its structure."""
    for where, query in rules.targets(json.loads(build.texts()[file])):
        hostile = rules.parse(query, {"model": name, "feature": [name, "latency_ms"]})
        harmless = rules.parse(query, {"model": "x", "feature": ["x", "y"]})
        assert shape(hostile) == shape(harmless), where


def shape(query: promql.Expr | None) -> list[tuple[str, str]]:
    """Return the structure of a query: node types and metrics, which no name may change."""
    return [(type(n).__name__, getattr(n, "name", "") or "") for n, _ in rules.nodes(query)]


def test_prometheus_accepts_every_query(tmp_path: Path) -> None:
    """Prometheus parses each query of each panel with each hostile model and feature."""
    written = [
        interpolate(query, {"model": name, "feature": [name, "latency_ms"]})
        for text in build.texts().values()
        for _, query in rules.targets(json.loads(text))
        for name in HOSTILE
    ]
    assert promtool(tmp_path, written) == 0


def test_quotes_instead_of_backticks_would_fail(tmp_path: Path) -> None:
    """Between quotes PromQL interprets the escapes of the regex, and the query is invalid."""
    quoted = f"x{{{queries.MODEL.replace('`', QUOTE)}}}"
    assert promtool(tmp_path, [interpolate(quoted, {"model": "a"})]) == 0
    assert promtool(tmp_path, [interpolate(quoted, {"model": "a.b"})]) != 0


def promtool(folder: Path, queries: Sequence[str]) -> int:
    """Check the queries as recording rules and return the exit status of promtool."""
    recorded = [{"record": f"q:{i}", "expr": query} for i, query in enumerate(queries)]
    file = folder / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    command = [needed("promtool"), "check", "rules", "--lint=none", str(file)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def test_a_backtick_is_not_offered() -> None:
    """Names with a backtick, which would end the string, cannot be selected; all others can."""
    for file in build.DASHBOARDS:
        for each in rules.queried(json.loads(build.texts()[file])):
            if each["name"] in rules.FROM_LOGS:
                offered = re.compile(each["regex"].strip("/"))
                assert [name for name in [*HOSTILE, "a`b", "`"] if offered.match(name)] == HOSTILE
