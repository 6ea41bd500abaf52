"""The benchmark of the pages: what it measures, on a small queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.web import __main__ as benchmark
from benchmarks.web.clients import PAGES
from benchmarks.web.site import Size

SMALL = Size(items=60, done=20, annotators=3)


def test_each_kind_of_request_is_measured() -> None:
    """Annotators rate, and an admin opens all pages; times are positive, the median first."""
    rows = benchmark.measure("sqlite", SMALL, 7.0)
    names = {row["request"] for row in rows}
    assert names == {
        *(f"GET {path}" for path in PAGES),
        *("POST /review/next", "GET /review/task/ID", "POST /review/task/ID"),
    }
    for row in rows:
        assert 0 < row["median_ms"] <= row["p95_ms"]
        assert row["number"] >= 1
    result: dict[str, Any] = {"items": 60, "done": 20, "annotators": 3, "seconds": 7.0}
    result |= {"cores": 2, "load": 0.5, "databases": {"sqlite": rows}}
    table = benchmark.table(result)
    assert table.count("\n| `") == len(rows)


@pytest.mark.parametrize("database", benchmark.DATABASES)
def test_pages_answer_within_100_ms_at_the_median(database: str) -> None:
    """So says the committed result, for 30 annotators at once on 100,000 items."""
    result = json.loads(benchmark.RESULT.read_text())
    assert (result["items"], result["annotators"]) == (100_000, 30)
    rows = result["databases"][database]
    assert {f"GET {path}" for path in PAGES} < {row["request"] for row in rows}
    assert all(row["median_ms"] <= 100 for row in rows)
