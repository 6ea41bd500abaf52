"""Tests of `plumbline experiment report`."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from prometheus_client.registry import CollectorRegistry

from monitor.events.history import EventHistory
from monitor.experiments.decisions.result import Result, decode_result
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health
from monitor.telemetry.http.api import Api
from monitor.telemetry.http.server import WebServer
from tests.monitor.cli.command_line import one_line_error, read_json, run
from tests.monitor.experiments.decisions.looks import SCORE, Experiment, design, normal
from tests.monitor.experiments.decisions.looks import run as looks

REPORT = ("experiment", "report")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a log with an experiment whose treatment is better, and its configuration."""
    folder = tmp_path_factory.mktemp("report")
    generator = random.Random(2)  # synthetic records
    lines = []
    for i in range(3_000):
        arm = generator.choice(["control", "treatment"])
        record = {
            "request_id": str(i),
            "timestamp": 1_790_000_000 + i,
            "model": "chat",
            "user_id": f"user-{i}",
            "experiments": {"new-prompt": arm},
            "scores": {"quality": generator.gauss(4.0 if arm == "treatment" else 3.5, 1.0)},
            "latency_ms": generator.lognormvariate(6.0, 0.5),
        }
        lines.append(json.dumps(record))
    log, configuration = folder / "logs.jsonl", folder / "plumbline.yaml"
    log.write_text("\n".join(lines))
    configuration.write_text(
        "experiments:\n  new-prompt:\n    variants: {control: 1, treatment: 1}\n"
        "    goal: score.quality\n    guardrails: [latency_ms]\n"
    )
    return log, configuration


def test_files_give_the_cards(
    capsys: pytest.CaptureFixture[str], logs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Text, JSON and a page come from records and the configuration, without a daemon."""
    log, configuration = logs
    page = tmp_path / "report.html"
    words = (*REPORT, "new-prompt", "--logs", log, "-c", configuration)
    assert run(*words, "--html", page) == 0
    assert "treatment: BETTER than control" in capsys.readouterr().out
    assert b"better than control" in page.read_bytes()
    found = read_json(capsys, *words, "--json")
    assert decode_result(json.dumps(found).encode()).experiment == "new-prompt"


def test_a_daemon_gives_the_same_result(capsys: pytest.CaptureFixture[str]) -> None:
    """The page of the API is the result, whatever characters the name has."""
    plan = design(name="a/b c")
    *_, last = looks(Experiment(plan, {SCORE.name: normal((10.0, 11.0))}), looks=4, users=300)
    results: dict[str, Result] = {plan.name: last.result}
    api = Api(EventHistory, Metrics(), experiments=lambda: results)
    with WebServer("127.0.0.1", 0, CollectorRegistry(), Health(), api) as web:
        url = ("--url", f"http://127.0.0.1:{web.port}")
        found = read_json(capsys, *REPORT, plan.name, *url, "--json")
        assert decode_result(json.dumps(found).encode()) == last.result
        assert "status 404" in one_line_error(capsys, *REPORT, "other", *url)


def test_an_unknown_experiment_is_named(
    capsys: pytest.CaptureFixture[str], logs: tuple[Path, Path], tmp_path: Path
) -> None:
    """The error lists the experiments that there are, or what to configure."""
    log, configuration = logs
    words = (*REPORT, "other", "--logs", log)
    assert "new-prompt" in one_line_error(capsys, *words, "-c", configuration)
    empty = tmp_path / "empty.yaml"
    empty.write_text("format: auto\n")
    assert "no experiment is configured" in one_line_error(capsys, *words, "-c", empty)
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text("no record\n")
    rejected = (*REPORT, "new-prompt", "--logs", nothing, "-c", configuration)
    assert "nothing was read" in one_line_error(capsys, *rejected)


def test_an_experiment_without_exposures_has_a_card(
    capsys: pytest.CaptureFixture[str], logs: tuple[Path, Path], tmp_path: Path
) -> None:
    """The card says why there are no users: no unit in the records, or another name."""
    log, configuration = logs
    other = tmp_path / "other.jsonl"
    for old, new, expected in (
        ("user_id", "user", "3,000 records of the experiment have no user_id"),
        ("new-prompt", "new_prompt", "no record names this experiment"),
    ):
        other.write_text(log.read_text().replace(f'"{old}"', f'"{new}"'))
        assert run(*REPORT, "new-prompt", "--logs", other, "-c", configuration) == 0
        text = capsys.readouterr().out
        assert "look at 2026-09-21" in text
        assert "treatment: NOT YET" in text
        assert f"  - {expected}\n" in text


def test_records_without_a_unit_are_shown(
    capsys: pytest.CaptureFixture[str], logs: tuple[Path, Path], tmp_path: Path
) -> None:
    """If only some records lack the unit, the others count."""
    log, configuration = logs
    other = tmp_path / "other.jsonl"
    other.write_text(log.read_text().replace('"user_id"', '"user"', 20))
    assert run(*REPORT, "new-prompt", "--logs", other, "-c", configuration) == 0
    assert "  - 20 records of the experiment have no user_id\n" in capsys.readouterr().out
