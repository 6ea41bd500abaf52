"""The simulation of experiments runs the tests of the product; its result keeps the promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.experiments import decisions, peers, quantiles, report, run
from benchmarks.experiments.running import RunningSums
from benchmarks.experiments.traffic import STREAMS
from monitor.experiments.sequential.quantiles import quantile_contrast
from monitor.experiments.sequential.ratios import contrast
from monitor.experiments.sums.look import BINS

VECTORS = Path(__file__).parents[1] / "monitor/experiments/sequential/data/gbstats.json"


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """Return the committed result."""
    result: dict[str, Any] = json.loads((run.RESULTS / "experiments.json").read_text())
    return result


def test_the_benchmark_measures_everything(tmp_path: Path) -> None:
    """The smallest form has a row for each stream and split, each effect and each mismatch."""
    out = tmp_path / "experiments.json"
    run.main(["--form", "test", "--out", str(out)])
    result = json.loads(out.read_text())
    assert len(result["false_winners"]) == len(STREAMS) * len(run.SPLITS)
    assert len(result["decisions"]) == 10
    assert len(result["mismatches"]) == 5
    assert len(result["further"]) == 8
    before = {name: each for name, each in result.items() if name != "further"}
    run.main(["--form", "test", "--part", "further", "--out", str(out)])
    assert json.loads(out.read_text()) == before | {"further": result["further"]}
    assert "| heavy users, bursty | 90/10 |" in out.with_suffix(".md").read_text()
    ElementTree.parse(out.with_suffix(".svg"))


def test_running_sums_have_the_contrast_of_the_product() -> None:
    """The moments that are updated by visit equal those of all buckets."""
    rng = np.random.default_rng(1)
    sums = RunningSums(3)
    for visits in STREAMS[8].looks(rng, 3, 40, 0.1):
        sums.add(visits.arms, visits.buckets, visits.x, visits.n)
    ours, expected = sums.contrast(), contrast(sums.x, sums.n)
    for name in ("ratios", "welch", "variance", "pooled", "pooled_error", "n_eff"):
        assert getattr(ours, name) == pytest.approx(getattr(expected, name), rel=1e-9)


def test_running_sums_compare_any_arm_with_the_first() -> None:
    """With more arms than two, the contrast is that of the product for these two."""
    rng = np.random.default_rng(2)
    sums = RunningSums(2, 4)
    for _ in range(30):
        shape = 2, 50
        n = rng.integers(0, 3, shape).astype(float)
        arms, buckets = rng.integers(4, size=shape), rng.integers(1_024, size=shape)
        sums.add(arms, buckets, n * rng.normal(5, 1, shape), n)
    for arm in (1, 2, 3):
        ours, expected = sums.contrast(arm), contrast(sums.x[:, [0, arm]], sums.n[:, [0, arm]])
        for name in ("ratios", "welch", "variance", "pooled", "pooled_error", "n_eff"):
            assert getattr(ours, name) == pytest.approx(getattr(expected, name), rel=1e-9)


@pytest.mark.parametrize("probability", [0.5, 0.95])
def test_running_shares_have_the_contrast_of_the_product(probability: float) -> None:
    """The counts above the cut are updated as the pooled quantile moves, up and down."""
    rng = np.random.default_rng(3)
    sums = quantiles.RunningShares(probability)
    for level in (200, 300, 100, 250, 0, 639):
        shape = 400
        bins = rng.normal(level, 60, shape).astype(np.int64).clip(0, BINS - 1)
        sums.add(rng.integers(2, size=shape), rng.integers(256, size=shape), bins)
        ours = sums.contrast()
        expected = quantile_contrast(sums.counts, probability, 1.0).shares
        for name in ("ratios", "welch", "variance", "pooled", "n_eff"):
            assert getattr(ours, name) == pytest.approx(getattr(expected, name), rel=1e-9)


def test_the_sequential_test_of_growthbook_is_that_of_gbstats() -> None:
    """The p-value for the relative effect equals that of gbstats."""
    for case in json.loads(VECTORS.read_text())["relative"]:
        ratios, errors = np.array(case["means"]), np.array(case["variances"])
        found = peers.growthbook(ratios, errors, np.array(case["users"]), case["alpha"])
        assert found == pytest.approx(case["p_value"], rel=1e-9)


def test_false_winners_stay_below_alpha(committed: dict[str, Any]) -> None:
    """At least 2,000 runs and 500 looks: no stream has more than 5 % false winners."""
    for cell in committed["false_winners"]:
        assert cell["runs"] >= 2_000
        assert cell["looks"] == 500
        assert report.worst(cell) <= 0.05


def test_decisions_take_at_most_1_4_times_the_fixed_n(committed: dict[str, Any]) -> None:
    """The mean time to a decision is within 1.4 for effects of .2 to 2 MDE, also integrated."""
    assert {cell["effect"] for cell in committed["decisions"]} == {0.2, 0.5, 1.0, 1.5, 2.0}
    for cell in committed["decisions"]:
        assert cell["mean"] <= 1.4
        assert cell["integrated"] == pytest.approx(decisions.integrated(cell["effect"]), abs=1e-6)
        assert cell["integrated"] == pytest.approx(cell["mean"], abs=0.08)


def test_mismatches_are_found(committed: dict[str, Any]) -> None:
    """52/48 is found within 17,000 users in 90 % of 1,000 runs; false alarms are at most 1 %."""
    first, *others = committed["mismatches"]
    assert (first["actual"], first["users"], first["runs"]) == ("52/48", 17_000, 1_000)
    assert first["warned"] >= 0.9
    quiet = [cell for cell in others if cell["planned"] == cell["actual"]]
    assert len(quiet) == 2
    assert all(cell["warned"] <= 0.01 for cell in quiet)


def test_cuped_quantiles_and_several_metrics_stay_below_alpha(committed: dict[str, Any]) -> None:
    """At least 1,000 runs: false winners, false findings and the false discovery rate."""
    cells = committed["further"]
    assert all(cell["runs"] >= 1_000 for cell in cells)
    single = [cell for cell in cells if "plumbline" in cell]
    assert len(single) == 6
    for cell in single:
        assert cell["looks"] == 500
        assert cell["plumbline"] <= 0.05 < cell["fixed"]
    assert all(cell["variance_ratio"] < 0.85 for cell in single if "CUPED" in cell["case"])
    quiet, real = [cell for cell in cells if "goal" in cell]
    for cell in (quiet, real):
        assert max(cell["goal"], cell["secondary"], cell["false_discovery_rate"]) <= 0.05
        assert cell["each"] > 0.05  # what the corrections are for
    assert real["power"] >= real["power_bonferroni"] > 0.1


def test_the_committed_tables_are_those_of_the_result(committed: dict[str, Any]) -> None:
    """The Markdown file and the plot show the numbers of the JSON file."""
    out = run.RESULTS / "experiments.json"
    assert out.with_suffix(".md").read_text() == report.tables(committed)
    assert out.with_suffix(".svg").read_text() == report.plot(committed["false_winners"])
