"""Backtest reports the configured experiments, as JSON and as lines of text."""

from __future__ import annotations

from pathlib import Path

from monitor.cli.backtest import backtest
from monitor.cli.console.experiment_text import lines
from monitor.config.schema import Config
from tests.monitor.roles import test_local_experiments as records


def test_backtest_reports_experiments(tmp_path: Path) -> None:
    """The report has the verdicts, and the text the effect with its interval."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"\n".join(records.lines(6_000)))
    report = backtest([log], records.config())
    found = report.experiments["exp"]
    assert found["verdicts"] == {"treatment": "worse"}
    assert found["goal"] == "latency_ms"
    assert (
        found["variants"]["control"]["requests"] + found["variants"]["treatment"]["requests"]
        == 6_000
    )
    [line] = lines(report.experiments)
    assert line.startswith("experiment exp: treatment: worse, latency_ms +")
    assert line.endswith("200 users")


def test_without_experiments_there_are_none(tmp_path: Path) -> None:
    """Without configured experiments the report has an empty mapping."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"\n".join(records.lines(100)))
    assert backtest([log], Config()).experiments == {}
