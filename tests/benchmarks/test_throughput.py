"""The throughput benchmark runs and writes all numbers; the speed itself is not tested."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

import benchmarks
from benchmarks.harness.messages import model_name
from benchmarks.throughput import documents, records
from benchmarks.throughput.__main__ import main
from benchmarks.throughput.benchmark import Benchmark, Plan
from benchmarks.throughput.contenders import CONTENDERS, Contender, available, rotated
from benchmarks.throughput.measure import Measurement
from benchmarks.throughput.peers.stopwatch import WINDOW, MeanOfWindow, Stopwatch
from tests.long_form import long_only

COMMITTED = Path(benchmarks.__file__).parent / "results" / "throughput.json"
NAMES = [contender.name for contender in CONTENDERS]
KEYS = {"contenders": dict, "by_models": dict, "stages_us": dict, "rss_mb": float}


def is_complete(path: Path, contenders: Sequence[Contender]) -> bool:
    """Return whether a result has every key with its type, and only positive measurements."""
    result = json.loads(path.read_text())
    assert {key: type(result[key]) for key in KEYS} == KEYS
    assert list(result["contenders"]) == [contender.name for contender in contenders]
    assert set(result["by_models"]) == {"1", "20", "200"}
    numbers = [result["rss_mb"], *result["by_models"].values(), *result["stages_us"].values()]
    for row in result["contenders"].values():
        assert len(row["per_s_by_round"]) == result["rounds"] == len(result["load_by_round"])
        for key in ("per_s", "cpu_us", "relative", "daemon_relative"):
            low, middle, high = (row[key][name] for name in ("min", "median", "max"))
            assert low <= middle <= high
            numbers.append(low)
    return all(number > 0 for number in numbers)


@long_only
@pytest.mark.usefixtures("real_kafka")
@pytest.mark.timeout(900)
def test_a_tiny_run_measures_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run with synthetic traffic on a real broker measures loops, daemon, stages and models."""
    out = tmp_path / "results" / "throughput.json"
    arguments = ["--records", "3000", "--rounds", "1", "--make-records", "none", "--out", str(out)]
    assert main(arguments) == 0
    assert is_complete(out, available())
    assert "random words" in json.loads(out.read_text())["source"]
    shown = capsys.readouterr().out
    assert "daemon / this" in shown
    assert "random words" in shown.replace("\n", " ")


def test_the_committed_result_is_complete() -> None:
    """It comes from real records, all contenders, at least five rounds, and evaluated records."""
    assert is_complete(COMMITTED, CONTENDERS)
    result = json.loads(COMMITTED.read_text())
    assert result["records"] >= 200_000
    assert result["rounds"] >= 5
    assert result["evaluated_share"] >= 0.9
    assert result["source"].startswith("make_records.py")


@pytest.mark.parametrize("path", documents.DOCUMENTS, ids=lambda path: path.name)
def test_documents_quote_the_committed_result(path: Path) -> None:
    """Every figure of throughput in a document is generated from the committed result."""
    text = path.read_text(encoding="utf-8")
    figures = documents.DOCUMENTS[path](json.loads(COMMITTED.read_text()))
    assert documents.generate(text, figures) == text


def test_a_document_without_a_place_for_the_figures_is_an_error() -> None:
    """A lost comment does not go unnoticed."""
    with pytest.raises(ValueError, match="throughput: generated"):
        documents.generate("# Plumbline\n", "1.6 times")


@pytest.mark.parametrize(("count", "rounds"), [(11, 5), (7, 5), (3, 5), (11, 1)])
def test_every_round_contains_every_contender_in_another_order(count: int, rounds: int) -> None:
    """The first place is shared by as many contenders as there are rounds."""
    some = CONTENDERS[:count]
    orders = [rotated(some, number, rounds) for number in range(rounds)]
    assert all(sorted(order, key=some.index) == list(some) for order in orders)
    assert len({order[0].name for order in orders}) == min(count, rounds)


def test_ratios_are_computed_within_a_round() -> None:
    """A phase in which everything takes three times as long changes no ratio."""
    plan = Plan(records=1000, rounds=3, partitions=1, tool=None, model_rounds=0)
    benchmark = Benchmark(plan, "", Path())
    for slow in (1.0, 3.0, 1.0):
        benchmark.measured["json_loads"].append(Measurement(10.0 * slow, 9.0))
        benchmark.measured["daemon"].append(Measurement(8.0 * slow, 12.0))
    row = benchmark.contender_result(CONTENDERS[NAMES.index("daemon")])
    assert row["relative"] == {"median": 1.25, "min": 1.25, "max": 1.25}
    assert row["cpu_us"]["median"] == 12.0
    assert row["per_s"] == {"median": 125_000, "min": 41_667, "max": 125_000}


def test_a_stopwatch_ignores_the_first_records() -> None:
    """The speed is that of the records after the first batch."""
    watch = Stopwatch(1000)
    assert not watch.add(400)
    time.sleep(0.02)
    assert watch.add(600)
    wall_us, cpu_us = watch.us_per_record()
    assert wall_us >= 0.02e6 / 600
    assert 0 <= cpu_us <= wall_us
    with pytest.raises(RuntimeError, match="0 of 10 records"):
        Stopwatch(10).us_per_record()


def test_the_window_of_the_peers_is_a_tumbling_mean() -> None:
    """Only the last value of a window gives its mean."""
    window = MeanOfWindow()
    means = [window.add(float(value)) for value in range(2 * WINDOW)]
    found = {index: mean for index, mean in enumerate(means) if not math.isnan(mean)}
    assert found == {999: 499.5, 1999: 1499.5}


def test_synthetic_records_are_as_large_as_real_ones(tmp_path: Path) -> None:
    """A record has about 2.6 KB, and all records have one model."""
    path = tmp_path / "records.jsonl"
    records.write(path, 1000, None)
    lines = list(records.read(path, 1000))
    assert len(lines) == 1000
    assert abs(sum(map(len, lines)) / 1000 / records.RECORD_BYTES - 1) < 0.1
    assert {msgspec.json.decode(line)["model"] for line in lines} == {model_name(0)}


def test_records_are_distributed_evenly_over_models(tmp_path: Path) -> None:
    """Every model gets the same number of records, and only the name changes."""
    path = tmp_path / "records.jsonl"
    records.write(path, 100, None)
    lines = list(records.read(path, 100))
    spread = [msgspec.json.decode(line) for line in records.spread(iter(lines), 20)]
    names = [record.pop("model") for record in spread]
    assert {names.count(name) for name in names} == {5}
    assert len(set(names)) == 20
    plain = [msgspec.json.decode(line) for line in lines]
    assert spread == [{k: v for k, v in record.items() if k != "model"} for record in plain]
