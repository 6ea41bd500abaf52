"""The simulation of replays uses the product's tests; its committed result keeps the promises."""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.replay import report, run
from benchmarks.replay.items import Kind, Population
from benchmarks.replay.runs import simulate

ALPHA = 0.05


def limit(runs: int) -> float:
    """Return the share of runs above which the true probability is probably above ALPHA."""
    return ALPHA + 4 * sqrt(ALPHA * (1 - ALPHA) / runs)


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """Return the committed result."""
    result: dict[str, Any] = json.loads((run.RESULTS / "replay.json").read_text())
    return result


def test_the_benchmark_measures_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest form has a row for each case; `look` and `decide` agree with the arrays."""
    monkeypatch.setattr(run, "SIZES", (50, 100))
    out = tmp_path / "replay.json"
    run.main(["--form", "test", "--out", str(out)])
    result = json.loads(out.read_text())
    assert len(result["cells"]) == 2 * (3 * len(run.CORRELATIONS) + 1 + len(run.OTHERS))
    assert result["checked"] == 12
    assert "| 0.5 | 50 |" in out.with_suffix(".md").read_text()


@pytest.mark.parametrize("kind", ["binary", "failing"])
@pytest.mark.parametrize("n", [50, 200])
def test_false_verdicts_with_a_look_after_every_chunk(kind: Kind, n: int) -> None:
    """At most 5 % of 2,000 runs are false, in each direction."""
    runs = 2_000
    none = simulate(Population(kind, 0.0, 0.5), n, runs, 1)
    margin = simulate(Population(kind, 0.05, 0.5), n, runs, 2)
    assert none.share("regressed") <= limit(runs)
    assert margin.share("not_regressed") <= limit(runs)


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_a_harmful_drop_takes_at_most_200_items(correlation: float) -> None:
    """At a drop of 10 points, of 1,000 planned items, on average; and it is found."""
    found = simulate(Population("binary", 0.1, correlation), 1_000, 500, 3)
    assert found.items.mean() <= 200 + 3 * found.items.std() / sqrt(500)
    assert found.share("regressed") > 0.95


@pytest.mark.parametrize("kind", ["binary", "shrunk", "failing", "clusters"])
def test_drops_have_the_mean_of_the_population(kind: Kind) -> None:
    """The simulated drop is the declared one."""
    for drop in (0.0, 0.05, 0.1):
        drops = Population(kind, drop, 0.7).draw((200, 500), np.random.default_rng(1))
        assert drops.mean() == pytest.approx(drop, abs=4 * drops.std() / sqrt(drops.size))
        assert np.abs(drops).max() <= 1


def test_the_committed_result_keeps_the_promises(committed: dict[str, Any]) -> None:
    """At least 4,000 runs a row: at most 5 % false verdicts in each, at most 200 items needed."""
    for cell in committed["cells"]:
        assert cell["runs"] >= 4_000
        assert cell["no_drop"]["regressed"] <= ALPHA
        assert cell["at_margin"]["not_regressed"] <= ALPHA
    needed = [
        cell["at_harm"]["mean_items"]
        for cell in committed["cells"]
        if cell["kind"] == "binary" and (cell["accuracy"], cell["margin"]) == (0.8, 0.05)
    ]
    assert len(needed) == len(run.SIZES) * len(run.CORRELATIONS)
    assert max(needed) <= 200
    false_regressed, false_harmless = (each["shares"] for each in committed["families"])
    runs = committed["families"][0]["runs"]
    assert false_regressed.get("regressed", 0) <= limit(runs)
    assert false_harmless.get("not_regressed", 0) <= limit(runs)


def test_peeking_without_a_correction_is_seen_to_fail(committed: dict[str, Any]) -> None:
    """The simulation finds more than 5 % where the test at the end is repeated at each look."""
    worst = max(cell["single"]["peeking_regressed"] for cell in committed["cells"])
    assert worst > 0.15


def test_the_tables_are_those_of_the_result(committed: dict[str, Any]) -> None:
    """The committed Markdown is made from the committed JSON."""
    assert (run.RESULTS / "replay.md").read_text() == report.tables(committed)


def test_the_guide_has_the_measured_figures(committed: dict[str, Any]) -> None:
    """The guide quotes the worst cases over all rows."""
    guide = (Path(__file__).parents[2] / "docs/replay-verdict.md").read_text()
    for line in report.worst(committed["cells"]):
        assert line in [*guide.splitlines(), ""]
