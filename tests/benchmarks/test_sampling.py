"""The benchmark of sampling compares the pipeline with and without samples."""

from __future__ import annotations

from benchmarks.sampling.__main__ import measure
from tests.integration.harness import numbered


def test_measures_each_configuration() -> None:
    """Samples are drawn where they are configured, and each ratio is against no samples."""
    result = measure([numbered(i, response="x" * 100) for i in range(2_000)], rounds=2)
    drawn = {name: row["samples"] for name, row in result.items()}
    assert drawn["without samples"] == 0
    assert drawn["samples"] == drawn["samples without redaction"] > 0
    assert result["without samples"]["ratio"] == 1
    assert all(row["cpu_us"] > 0 for row in result.values())
