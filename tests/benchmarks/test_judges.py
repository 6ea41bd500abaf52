"""The benchmark of judge clients measures rates against the ideal one."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.judges import run


def test_the_benchmark_measures_all_contenders(tmp_path: Path) -> None:
    """Each client answers all calls; no rate is above the ideal one, and the table has them all."""
    out = tmp_path / "judges.json"
    run.main(["--rounds", "1", "--calls", "3", "--out", str(out)])
    result = json.loads(out.read_text())
    assert set(result["contenders"]) == {"plumbline", "sdk_create"}
    for each in result["contenders"].values():
        assert 0.1 < each["share_of_ideal"]["median"] <= 1.0
        assert each["cpu_us_per_call"]["median"] > 0
    table = out.with_suffix(".md").read_text()
    assert "| `plumbline` |" in table
    assert "| `sdk_create` |" in table


def test_the_committed_table_is_that_of_the_committed_result() -> None:
    """The Markdown file shows the numbers of the JSON file."""
    result = json.loads((run.RESULTS / "judges.json").read_text())
    assert (run.RESULTS / "judges.md").read_text() == run.table(result)
