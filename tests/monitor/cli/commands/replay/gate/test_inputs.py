"""What `plumbline gate` reads: criteria, records, checks, stored runs, the live experiment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from monitor.cli.commands.replay.gate.inputs import read_canary, reading
from monitor.experiments.decisions.result import Result, encode_result
from replay.gate.criteria.model import Canary
from replay.gate.stages.canary import NotReadable
from replay.store import chain, open_store
from tests.monitor.cli.command_line import error, one_line_error, read_json, run
from tests.monitor.experiments.decisions.looks import (
    SCORE,
    Experiment,
    design,
    normal,
)
from tests.monitor.experiments.decisions.looks import run as run_looks
from tests.replay.gate.criteria.data import content
from tests.replay.gate.scores import draws, scores, write


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def write_criteria(**changes: Any) -> Path:
    """Write criteria and return their path."""
    path = Path("criteria.yaml")
    path.write_text(yaml.safe_dump(content(**changes), sort_keys=False))
    return path


def test_problems_of_criteria_have_file_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    """All problems are reported at once, each with its line and a suggestion."""
    path = Path("criteria.yaml")
    path.write_text(
        "name: support\n"
        "candidate:\n"
        "  model: {name: new, base_ur: http://localhost/v1}\n"
        "dimensions:\n"
        "  quality: {task: [support], at_least: 0.5}\n"
        "alpha: 0.5\n"
        "alpha: 0.1\n"
    )
    lines = error(capsys, "gate", "--criteria", path).splitlines()
    assert (
        "criteria.yaml:3: candidate.model.base_ur: unknown key; did you mean 'base_url'?" in lines
    )
    assert "criteria.yaml:5: dimensions.quality.task: unknown key; did you mean 'tasks'?" in lines
    assert "criteria.yaml:6: alpha: must be at most 0.2" in lines
    assert "criteria.yaml:7: alpha: is given twice" in lines
    path.write_text("alpha: 0.1\n")
    assert "criteria.yaml: name: is missing" in error(capsys, "gate", "--criteria", path)
    path.write_text("- 1\n")
    assert "mapping" in one_line_error(capsys, "gate", "--criteria", path)
    assert "no such file" in one_line_error(capsys, "gate", "--criteria", "absent.yaml")


def test_criteria_can_be_checked_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """--check-criteria runs nothing and prints the hash of the audit trail."""
    import hashlib

    path = write_criteria()
    assert run("gate", "--criteria", path, "--check-criteria") == 0
    assert hashlib.sha256(path.read_bytes()).hexdigest() in capsys.readouterr().out
    assert not Path("plumbline-gate").exists()


def records(name: str, latency: float, answer: str = '{"id": 1}', n: int = 200) -> Path:
    """Write records of answers."""
    times = np.random.default_rng(1).lognormal(0.0, 0.2, n) * latency
    lines = (
        {
            "request_id": f"r{i}",
            "timestamp": 1.7e9,
            "model": "new",
            "prompt": "q",
            "response": answer,
            "latency_ms": float(times[i]),
            "cost_usd": 0.001 + i * 1e-7,
            "scores": {"helpful": 4.0 + i % 2},
        }
        for i in range(n)
    )
    path = Path(name)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


MEASURES = {
    "latency": {"measure": "latency_ms", "statistic": "p95", "margin": 0.3, "at_most": 900.0},
    "cost": {"measure": "cost_usd", "margin": 0.1},
    "judged": {"measure": "scores.helpful", "at_least": 4.2},
    "format": {"measure": "check.order", "at_least": 0.9},
}
CHECKS = "judges: {checks: {order: {kind: json_schema, matches: {required: [id]}}}}\n"


def measured(capsys: pytest.CaptureFixture[str], status: int) -> dict[str, str]:
    """Run a gate on records only; return the outcomes of its checks."""
    path = write_criteria(
        candidate={"records": "new.jsonl"},
        baseline={"records": "old.jsonl"},
        dimensions=MEASURES,
        stages=["L0"],
    )
    assert run("gate", "--criteria", path, "--json") == status
    (stage,) = json.loads(capsys.readouterr().out)["stages"]
    return {check["name"]: check["outcome"] for check in stage["checks"]}


def test_measures_come_from_records(capsys: pytest.CaptureFixture[str]) -> None:
    """Latency, cost, judged scores and checks of answers decide without any run."""
    Path("plumbline.yaml").write_text(CHECKS)
    records("old.jsonl", 500.0)
    records("new.jsonl", 500.0)
    assert set(measured(capsys, 0).values()) == {"passed"}
    records("new.jsonl", 1000.0, answer="no json")
    found = measured(capsys, 1)
    assert {name for name, outcome in found.items() if outcome == "regressed"} == {
        "latency at most",
        "latency margin",
        "format at least",
    }


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Records, checks and a baseline that are not there are errors before any run."""
    results = {"candidate": {"run": "a"}, "baseline": {"run": "b"}}
    path = write_criteria(**results, dimensions={"latency": MEASURES["latency"]})
    text = one_line_error(capsys, "gate", "--criteria", path)
    assert "--records candidate=FILE" in text
    new = records("new.jsonl", 500.0)
    text = one_line_error(capsys, "gate", "--criteria", path, "--records", f"candidate={new}")
    assert "--records baseline=FILE" in text
    old = Path("old.jsonl")
    old.write_text("{}\n")
    both = ("--records", f"candidate={new}", "--records", f"baseline={old}")
    assert "no valid records" in one_line_error(capsys, "gate", "--criteria", path, *both)
    assert "neither candidate=FILE" in one_line_error(
        capsys, "gate", "--criteria", path, "--records", "new.jsonl"
    )
    path = write_criteria(candidate={"records": "new.jsonl"}, dimensions={"f": MEASURES["format"]})
    assert "check.order is not configured" in one_line_error(capsys, "gate", "--criteria", path)
    path = write_criteria(
        candidate={"records": "new.jsonl"}, baseline=None, dimensions={"j": MEASURES["judged"]}
    )
    old_file = ("--records", f"baseline={new}")
    assert "no baseline" in one_line_error(capsys, "gate", "--criteria", path, *old_file)
    assert "no stage L2" in one_line_error(capsys, "gate", "--criteria", path, "--until", "L2")


def results() -> dict[str, Any]:
    """Write scores that pass; return the keys of criteria that name them."""
    sides = zip(("candidate", "baseline"), draws(500, 0.8), strict=True)
    return {n: {"results": str(write(Path(f"{n}.jsonl"), scores(side)))} for n, side in sides}


def test_a_broken_audit_trail_ends_the_gate_before_its_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The chain is checked first; --check-audit checks it alone."""
    path = write_criteria(**results())
    for _ in range(2):
        assert run("gate", "--criteria", path, "--audit", "audit.jsonl") == 0
    capsys.readouterr()
    assert run("gate", "--check-audit", "audit.jsonl") == 0
    assert "2 entries, the chain is intact" in capsys.readouterr().out
    lines = Path("audit.jsonl").read_bytes().splitlines(keepends=True)
    Path("audit.jsonl").write_bytes(lines[1])
    assert "audit.jsonl:1: " in one_line_error(capsys, "gate", "--check-audit", "audit.jsonl")
    found = one_line_error(capsys, "gate", "--criteria", path, "--audit", "audit.jsonl")
    assert "audit.jsonl:1: " in found


def test_the_audit_trail_is_also_in_the_ledger_of_the_store(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each gate is an entry of the chain, with the same content as the line of the file."""
    path = write_criteria(**results())
    for _ in range(2):
        outputs = "--audit", "audit.jsonl", "--audit-store"
        assert run("gate", "--criteria", path, *outputs) == 0
    printed = capsys.readouterr().err
    with open_store("sqlite:///plumbline.db") as store, store.read() as connection:
        entries = list(chain.entries(connection, "gate"))
    lines = [json.loads(line) for line in Path("audit.jsonl").read_text().splitlines()]
    for entry, line in zip(entries, lines, strict=True):
        assert entry.value == {key: line[key] for key in line if key not in {"previous", "hash"}}
        assert f"ledger: entry {entry.seq}, hash {entry.hash}" in printed
    assert run("db", "verify") == 0
    with open_store("sqlite:///plumbline.db") as store, store.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER keep_ledger_update")
        changed = "UPDATE ledger SET content = replace(content, 'passed', 'error') WHERE seq = 1"
        connection.exec_driver_sql(changed)
    assert run("db", "verify") == 1


def test_a_store_that_cannot_be_opened_ends_the_gate_before_its_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A long gate must not end without its audit trail."""
    path = write_criteria(**results())
    Path("plumbline.yaml").write_text("store: {url: 'sqlite:///absent/store.db'}\n")
    found = one_line_error(capsys, "gate", "--criteria", path, "--audit-store")
    assert "absent/store.db" in found


def test_a_report_that_cannot_be_written_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that does not exist is named before the runs."""
    path = write_criteria(**results())
    assert "absent/gate.xml" in one_line_error(
        capsys, "gate", "--criteria", path, "--junit", "absent/gate.xml"
    )


def test_runs_of_the_store_are_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of finished runs are read from the store; others and unknown ids are errors."""
    monkeypatch.setenv("PLUMBLINE__STORE__URL", "sqlite:///store.db")
    candidate, baseline = draws(500, 0.8)
    ids = store_runs(scores(candidate), scores(baseline))
    sides = {"candidate": {"run": ids[0]}, "baseline": {"run": ids[1]}}
    found = read_json(capsys, "gate", "--criteria", write_criteria(**sides), "--json")
    assert found["outcome"] == "passed"
    sides["candidate"] = {"run": ids[2]}
    path = write_criteria(**sides)
    assert "has no complete scores" in one_line_error(capsys, "gate", "--criteria", path)
    path = write_criteria(baseline={"run": "x"}, candidate={"run": ids[0]})
    assert "has no run x" in one_line_error(capsys, "gate", "--criteria", path)


def store_runs(*runs: Any) -> list[str]:
    """Store finished runs with scores and one that waits; return their ids."""
    from replay.store import queue, results

    ids = []
    with open_store("sqlite:///store.db") as store, store.write() as connection:
        for number, task in enumerate((*runs, None)):
            request = queue.RunRequest(
                alarm=f"a{number}",
                set_digest="s",
                model_digest="m",
                model="new",
                trigger="manual",
                plan={},
            )
            assert queue.enqueue(connection, request, 1.0)
            ids.append(request.id)
            if task is not None:
                claim = queue.claim(connection, "worker", 2.0, 60.0)
                assert claim is not None
                results.append(connection, claim.lease, (task,))
                end = queue.Outcome(verdict="not_regressed")
                queue.finish(connection, claim.lease, end, 3.0)
    return ids


@pytest.fixture(scope="module")
def result() -> Result:
    """Return the result of an experiment with a verdict."""
    plan = design(name="a b/ü")
    *_, last = run_looks(Experiment(plan, {SCORE.name: normal((10.0, 11.0))}), looks=5, users=300)
    return last.result


@pytest.fixture
def daemon(result: Result) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the address of a server with the experiment, and what it answers."""
    answer: dict[str, Any] = {"status": 200, "body": encode_result(result)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer["path"] = self.path
            self.send_response(answer["status"])
            self.end_headers()
            self.wfile.write(answer["body"])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", answer
        server.shutdown()
        thread.join()


def canary(url: str, variant: str = "treatment") -> Canary:
    """Return the section of the criteria."""
    return Canary(url=url, experiment="a b/ü", variant=variant)


def test_the_canary_reads_the_experiment_of_a_daemon(
    daemon: tuple[str, dict[str, Any]], result: Result
) -> None:
    """The verdict of the variant, over HTTP; states that cannot be read are told apart."""
    url, answer = daemon
    found = read_canary(canary(url))
    assert answer["path"] == "/api/v1/experiments/a%20b%2F%C3%BC"
    assert (found.verdict, found.split, found.users) == ("better", "ok", result.arms[1].users)
    with pytest.raises(NotReadable, match="there is treatment") as caught:
        read_canary(canary(url, "other"))
    assert caught.value.final
    answer["status"] = 503
    with pytest.raises(NotReadable, match="status 503") as caught:
        read_canary(canary(url))
    assert not caught.value.final
    answer |= {"status": 200, "body": b"<html>"}
    with pytest.raises(NotReadable, match="not a result"):
        read_canary(canary(url))
    with pytest.raises(NotReadable, match="is the daemon running"):
        read_canary(canary("http://127.0.0.1:9"))


def test_a_doubtful_split_and_guardrails_are_read(result: Result) -> None:
    """An arm in doubt counts as a wrong split; a guardrail that is certainly worse is named."""
    import msgspec

    from monitor.experiments.decisions.result import Guardrail

    replace = msgspec.structs.replace
    arms = (result.arms[0], replace(result.arms[1], in_doubt=True))
    assert reading(replace(result, arms=arms), "treatment").split == "block"
    harmed = replace(result.comparisons[0], guardrail=Guardrail(margin=0.1, harm=1.0))
    found = reading(replace(result, comparisons=(harmed,)), "treatment")
    assert found.guardrails == (harmed.metric,)
