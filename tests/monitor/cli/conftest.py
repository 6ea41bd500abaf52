"""Fixtures for tests of commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.cli.demo.traffic import traffic
from monitor.detect.audit import forecast, page_costs


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty directory, and clear the variables that configure Plumbline."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PLUMBLINE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture(autouse=True)
def short_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure false pages and delays on a tenth of the values: most of the time of a command."""
    monkeypatch.setattr(page_costs, "VALUES", page_costs.VALUES // 10)
    monkeypatch.setattr(forecast, "VALUES", forecast.VALUES // 10)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A file of synthetic traffic that drifts in its second half."""
    path = tmp_path / "logs.jsonl"
    lines = traffic(8000, change_at=5000, seed=7, rate=50.0, start=1.76e9)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with windows and a reference that are short enough for the log."""
    path = tmp_path / "short.yaml"
    path.write_text(
        "windows: {records: 200, stride: 20}\nreference: {source: warmup, records: 2000}\n"
    )
    return path
