"""The benchmark runs, resumes, and reports what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.detectors import plan, run
from benchmarks.detectors.plan import Plan, split_trials
from benchmarks.detectors.workers.pool import BenchmarkError, Worker, Workers
from tests.long_form import long_only

TINY = Plan("smoke", 20_000, 20_000, 2, (2000, 5000), 0.1)


@pytest.fixture(autouse=True)
def _tiny_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the environment of the peers and reduce the smoke plan."""
    monkeypatch.setattr(run, "PEER_PYTHON", tmp_path / "none")
    monkeypatch.setitem(plan.PLANS, "smoke", TINY)


def test_a_tiny_run_measures_everything_and_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file contains knobs, nulls, changes and costs; a second run measures only costs."""
    out, journal = tmp_path / "results" / "d.json", tmp_path / "journal.jsonl"
    options = ["--form", "smoke", "--jobs", "1", "--only", "textbook", "always"]
    assert run.main([*options, "--journal", str(journal), "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert set(result["peers"]) == {"textbook", "always"}
    assert result["left_out"]
    always = [row for row in result["nulls"] if row["peer"] == "always"]
    assert {row["alarms"] / row["records"] / row["features"] for row in always} == {1e-3}
    assert {row["median"] for row in result["changes"] if row["peer"] == "always"} == {100}
    assert result["knobs"]["textbook"]["normal"]["10"]["records"] == 20_000
    # a contestant with a short memory is measured after the fewest records only
    assert {row["after"] for row in result["changes"]} == {2000}
    assert "# Comparison of drift detectors" in out.with_suffix(".md").read_text()

    with journal.open("a") as file:
        file.write('{"key": "half a li')
    capsys.readouterr()
    assert run.main([*options, "--journal", str(journal), "--out", str(out)]) == 0
    assert " null textbook" not in capsys.readouterr().err
    again = json.loads(out.read_text())
    assert {**again, "costs": 0} == {**result, "costs": 0}


@long_only
def test_the_promise_is_measured_without_tuning(tmp_path: Path) -> None:
    """Only Plumbline runs, at its budgets, and the page contains no comparison."""
    out, journal = tmp_path / "p.json", tmp_path / "journal.jsonl"
    options = ["--promise", "--form", "smoke", "--jobs", "1", "--only", "plumbline", "always"]
    assert run.main([*options, "--journal", str(journal), "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert set(result["peers"]) == {"plumbline"}
    assert {row["setting"] for row in result["nulls"]} == {"default", "promise_1", "promise_10"}
    assert result["knobs"] == {}
    assert result["costs"] == []
    page = out.with_suffix(".md").read_text()
    assert "Budget and measured false pages" in page
    assert "Tuned to" not in page


def test_the_error_names_the_command_that_creates_the_environment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without the environment of the peers, the error is `make peers`, without traceback."""
    assert run.main(["--only", "evidently"]) == 2
    assert "make peers" in capsys.readouterr().err


def test_the_error_names_a_missing_data_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message contains the file name."""
    assert run.main(["--only", "never", "--data", str(tmp_path)]) == 2
    assert "azure_llm_2023_conv.csv.gz" in capsys.readouterr().err


def test_the_error_names_a_failed_task() -> None:
    """A failed task raises BenchmarkError with the task and the reason."""
    workers = Workers()
    with pytest.raises(BenchmarkError, match=r"no_such.*KeyError"):
        workers.call("ours", {"do": "describe", "peers": ["no_such"]})
    workers.stop()


def test_a_worker_that_ends_is_an_error() -> None:
    """The next task of a killed worker raises BenchmarkError."""
    worker = Worker(sys.executable)
    worker.process.kill()
    worker.process.wait()
    with pytest.raises(BenchmarkError, match="ended"):
        worker.call({"do": "describe", "peers": []})
    worker.stop()


def test_the_work_of_slow_contestants_is_limited() -> None:
    """Fast contestants get all trials; tasks cover every trial once."""
    full = plan.PLANS["full"]
    assert full.null_trials("river_adwin", 1) == (100, 100_000)
    count, records = full.null_trials("river_kswin", 1)
    assert count * records <= full.seconds * 1e6 / 200
    count, records = full.tuning_trials("river_kswin")
    assert full.seconds * 1e6 / 200 < count * records <= 5 * full.seconds * 1e6 / 200
    assert full.change_trials("never", 10_000) == full.seeds
    assert 4 <= full.change_trials("river_kswin", 25_000) < full.seeds
    found = split_trials("river_kswin", 25, 25_000)
    assert [n for first, size in found for n in range(first, first + size)] == list(range(25))
    assert len(found) > 5
