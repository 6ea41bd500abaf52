"""The benchmark of the pages: what it measures, on a small queue."""

from __future__ import annotations

from typing import Any

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
