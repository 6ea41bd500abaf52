"""Names from a log are hostile, and still no query breaks or reads what was not chosen."""

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
from grafana.dashboards import promql as queries
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
    """The regular expression that Prometheus is asked for when this model is chosen."""
    selector = rules.parse(queries.own("drift_psi", queries.MODEL), {"model": name})
    assert isinstance(selector, promql.VectorSelector)
    [matcher] = [m for m in selector.matchers.matchers if m.name == "model"]
    return matcher.value


@given(NAMES, NAMES)
@example('a"b\\c.*{}', "a")
@example("a|b", "b")
def test_a_name_matches_itself_and_no_other(name: str, other: str) -> None:
    """Whatever a model is called, its query is of this model alone."""
    assert re.fullmatch(matched(name), name)
    assert bool(re.fullmatch(matched(name), other)) == (name == other)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("file", build.DASHBOARDS)
def test_every_query_stays_valid(file: str, name: str) -> None:
    """With a hostile model and feature chosen, each query of each panel is PromQL as before."""
    for where, query in rules.targets(json.loads(build.texts()[file])):
        hostile = rules.parse(query, {"model": name, "feature": [name, "latency_ms"]})
        harmless = rules.parse(query, {"model": "x", "feature": ["x", "y"]})
        assert shape(hostile) == shape(harmless), where


def shape(query: promql.Expr | None) -> list[tuple[str, str]]:
    """The kinds of a query's nodes and the metrics it reads: what no name may change."""
    return [(type(n).__name__, getattr(n, "name", "") or "") for n, _ in rules.nodes(query)]


def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    """Its own parser accepts each query of each panel, whatever model and feature are chosen."""
    written = [
        interpolate(query, {"model": name, "feature": [name, "latency_ms"]})
        for text in build.texts().values()
        for _, query in rules.targets(json.loads(text))
        for name in HOSTILE
    ]
    assert promtool(tmp_path, written) == 0


def test_why_backticks(tmp_path: Path) -> None:
    """Between quotes the escapes of a regex are read once more, and the query is none."""
    quoted = f"x{{{queries.MODEL.replace('`', QUOTE)}}}"
    assert promtool(tmp_path, [interpolate(quoted, {"model": "a"})]) == 0
    assert promtool(tmp_path, [interpolate(quoted, {"model": "a.b"})]) != 0


def promtool(folder: Path, queries: Sequence[str]) -> int:
    """What promtool ends with when these are rules."""
    written = [{"record": f"q:{i}", "expr": query} for i, query in enumerate(queries)]
    file = folder / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": written}]}))
    command = [needed("promtool"), "check", "rules", "--lint=none", str(file)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def test_a_backtick_is_not_offered() -> None:
    """A name that would end the string cannot be chosen; all other names can."""
    for file in build.DASHBOARDS:
        for each in rules.queried(json.loads(build.texts()[file])):
            if each["name"] in rules.FROM_LOGS:
                offered = re.compile(each["regex"].strip("/"))
                assert [name for name in [*HOSTILE, "a`b", "`"] if offered.match(name)] == HOSTILE
