"""The benchmark runs to its end, goes on where it was, and says what it lacks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.detectors import plan, run
from benchmarks.detectors.plan import Plan, pieces
from benchmarks.detectors.workers import BenchmarkError, Worker, Workers

TINY = Plan("smoke", 20_000, 20_000, 2, (2000, 5000), 0.1)


@pytest.fixture(autouse=True)
def _no_peers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine without the peers' environment, with little to do."""
    monkeypatch.setattr(run, "THEIR_PYTHON", tmp_path / "none")
    monkeypatch.setitem(plan.PLANS, "smoke", TINY)


def test_a_tiny_run_measures_everything_and_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tuning, nulls, changes and costs in one file; a second run asks no worker for them again."""
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
    # what forgets within its window is measured after the fewest records only
    assert {row["after"] for row in result["changes"]} == {2000}
    assert "# Detectors against each other" in out.with_suffix(".md").read_text()

    with journal.open("a") as file:
        file.write('{"key": "half a li')
    capsys.readouterr()
    assert run.main([*options, "--journal", str(journal), "--out", str(out)]) == 0
    assert " null textbook" not in capsys.readouterr().err
    again = json.loads(out.read_text())
    assert {**again, "costs": 0} == {**result, "costs": 0}


def test_without_the_peers_environment_it_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line, and no traceback."""
    assert run.main(["--only", "evidently"]) == 2
    assert "make peers" in capsys.readouterr().err


def test_a_folder_without_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file that is not there is in the message."""
    assert run.main(["--only", "never", "--data", str(tmp_path)]) == 2
    assert "azure_llm_2023_conv.csv.gz" in capsys.readouterr().err


def test_a_task_that_fails_is_named() -> None:
    """What a worker cannot do ends the benchmark, with the task and the reason."""
    workers = Workers()
    with pytest.raises(BenchmarkError, match=r"no_such.*KeyError"):
        workers.ask("ours", {"do": "hello", "peers": ["no_such"]})
    workers.end()


def test_a_worker_that_ends_is_noticed() -> None:
    """A killed worker ends the benchmark too."""
    worker = Worker(sys.executable)
    worker.process.kill()
    worker.process.wait()
    with pytest.raises(BenchmarkError, match="ended"):
        worker.ask({"do": "hello", "peers": []})
    worker.end()


def test_slow_contestants_get_what_they_can_afford() -> None:
    """Quick ones get all, slow ones what fits into the seconds; pieces cover every trial once."""
    full = plan.PLANS["full"]
    assert full.null_trials("river_adwin", 1) == (100, 100_000)
    count, records = full.null_trials("river_kswin", 1)
    assert count * records <= full.seconds * 1e6 / 200
    count, records = full.tuning_trials("river_kswin")
    assert full.seconds * 1e6 / 200 < count * records <= 5 * full.seconds * 1e6 / 200
    assert full.seeds_of("never", 10_000) == full.seeds
    assert 4 <= full.seeds_of("river_kswin", 25_000) < full.seeds
    found = pieces("river_kswin", 25, 25_000)
    assert [n for first, size in found for n in range(first, first + size)] == list(range(25))
    assert len(found) > 5
