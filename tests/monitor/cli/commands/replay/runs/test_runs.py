"""`plumbline replay`: a baseline and replays by hand, and what the store has of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from monitor.cli.commands.replay.evalset.scores import read_run
from monitor.roles import replay_setup, replay_worker
from replay.results import RunError
from replay.runner import supervise
from replay.sets.item_set import approve
from replay.sets.versions import freeze
from tests.monitor.cli.command_line import error, run
from tests.monitor.roles.replay_runs import Runner, half, items

pytestmark = pytest.mark.usefixtures("runner")


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    """A stand-in for the process of lm-eval."""
    made = Runner()
    monkeypatch.setattr(supervise, "run", made.run)
    return made


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """A configuration with a store in the test's folder."""
    path = tmp_path / "plumbline.yaml"
    sections = {
        "store": {"url": f"sqlite:///{tmp_path}/store.db"},
        "replay": {
            "model": {"base_url": "http://127.0.0.1:9/v1"},
            "margin": 0.2,
            "chunk_size": 10,
            "directory": str(tmp_path / "work"),
        },
    }
    path.write_text(yaml.safe_dump(sections))
    return path


@pytest.fixture
def evalset(tmp_path: Path) -> str:
    """The name of a frozen evaluation set."""
    freeze(tmp_path / "sets", "support", approve(items(), "a person"), 1.0)
    return str(tmp_path / "sets" / "support")


Out = Callable[[], str]


@pytest.fixture
def out(capsys: pytest.CaptureFixture[str]) -> Out:
    """Return what was printed since the last call, without the log."""

    def lines() -> str:
        text = capsys.readouterr().out
        return "\n".join(line for line in text.splitlines() if "[info " not in line)

    return lines


def test_a_baseline_and_replays_by_hand(
    configured: Path, evalset: str, runner: Runner, out: Out
) -> None:
    """The exit status is the verdict; the results are listed, shown, compared and exported."""
    options = ("-c", configured)
    assert run("replay", "run", "chat", "--baseline", "--set", evalset, *options) == 0
    assert "baseline of chat: 60 items" in out()
    assert run("replay", "run", "chat", *options) == 0
    assert "not regressed" in out()
    runner.score = half
    assert run("replay", "run", "chat", "--json", *options) == 1
    assert json.loads(out())["verdict"] == "regressed"
    assert run("replay", "list", "--json", *options) == 0
    listed = json.loads(out())
    assert sorted(each["verdict"] for each in listed) == [
        "inconclusive",
        "not_regressed",
        "regressed",
    ]
    by_verdict = {each["verdict"]: each["id"] for each in listed}
    assert run("replay", "list", "--verdict", "regressed", *options) == 0
    assert by_verdict["regressed"][:12] in out()
    html = configured.with_name("report.html")
    identity = by_verdict["regressed"][:8]
    assert run("replay", "show", identity, "--html", html, *options) == 0
    assert "regressed" in out()
    assert html.read_bytes().startswith(b"<!DOCTYPE html>")
    assert run("replay", "show", identity, "--json", *options) == 0
    assert json.loads(out())["run"]["verdict"] == "regressed"
    assert run("replay", "compare", by_verdict["inconclusive"], identity, *options) == 0
    assert "changed" in out()
    assert run("replay", "compare", identity, *options) == 1
    assert "not reproduced" in out()
    assert run("replay", "export", identity, *options) == 0
    exported = out()
    kinds = {json.loads(line)["type"] for line in exported.splitlines()}
    assert kinds == {"run", "task", "item", "ledger"}
    path = configured.with_name("run.json")
    path.write_text(exported)
    answered = sum('"type":"item"' in line for line in exported.splitlines())
    assert len(read_run(path)) == answered > 0


def test_a_report_has_the_texts_of_items_that_changed(
    configured: Path, evalset: str, runner: Runner, out: Out
) -> None:
    """Prompt, target and both responses are shown: those of the baseline that was compared.

    A newer baseline and erased texts change nothing else; --without-texts leaves texts out.
    """
    options = ("-c", configured)
    baseline = ("replay", "run", "chat", "--baseline", "--set", evalset, *options)
    runner.response = "old <b>"
    assert run(*baseline) == 0
    runner.response, runner.score = "new \x1b[31m", half
    out()
    assert run("replay", "run", "chat", "--json", *options) == 1
    identity = json.loads(out())["id"]
    runner.response = "newer"
    assert run(*baseline) == 0
    out()
    assert run("replay", "show", identity, *options) == 0
    shown = out()
    assert "question" in shown
    assert "Expected: answer" in shown
    assert "old <b>" in shown
    assert "new " in shown
    assert "newer" not in shown
    assert "\x1b" not in shown
    assert run("replay", "show", identity, "--json", *options) == 0
    (task,) = json.loads(out())["decision"]["tasks"]
    assert {flip["baseline_response"] for flip in task["flips"]} == {"old <b>"}
    assert run("replay", "show", identity, "--without-texts", *options) == 0
    without = out()
    assert "question" not in without
    assert "old <b>" not in without
    with closing(sqlite3.connect(configured.with_name("store.db"))) as connection, connection:
        connection.execute("DELETE FROM responses")
        connection.execute("DELETE FROM item_texts")
    assert run("replay", "show", identity, *options) == 0
    assert out() == without


def test_a_run_without_a_comparison_is_not_shown_as_an_error(
    configured: Path, evalset: str, out: Out, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run in the queue has no report yet; that of a baseline says what it is."""
    options = ("-c", configured)
    assert run("replay", "run", "chat", "--baseline", "--queue", "--set", evalset, *options) == 0
    identity = out().strip()
    assert "is queued: it has no report yet" in error(capsys, "replay", "show", identity, *options)
    assert run("replay", "work", "--once", *options) == 0
    out()
    assert run("replay", "show", identity, *options) == 0
    shown = out()
    assert "scores of a baseline" in shown
    assert "cancelled" not in shown


def test_a_queued_run_is_done_by_a_worker(configured: Path, evalset: str, out: Out) -> None:
    """`--queue` ends at once; `work --once` does one run."""
    options = ("-c", configured)
    assert run("replay", "run", "chat", "--baseline", "--queue", "--set", evalset, *options) == 0
    identity = out().strip()
    assert run("replay", "work", "--once", *options) == 0
    out()
    assert run("replay", "list", "--json", *options) == 0
    (listed,) = json.loads(out())
    assert (listed["id"], listed["state"]) == (identity, "finished")


def test_an_inconclusive_run_has_a_status_of_its_own(
    configured: Path, evalset: str, runner: Runner
) -> None:
    """Few items do not decide; a run without a verdict is an error."""
    options = ("-c", configured)
    text = configured.read_text().replace("margin: 0.2", "margin: 0.01")
    configured.write_text(text)
    assert run("replay", "run", "chat", "--baseline", "--set", evalset, *options) == 0
    assert run("replay", "run", "chat", *options) == 3

    def fail(_: int) -> None:
        raise RunError("unauthorized", "401")

    runner.before = fail
    assert run("replay", "run", "chat", *options) == 2


def test_errors_are_one_line(
    configured: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without a baseline, a model, a run or a set, the message says what to do."""
    options = ("-c", configured)
    assert "has no baseline to compare with" in error(capsys, "replay", "run", "chat", *options)
    assert "there are no items" in error(capsys, "replay", "run", "chat", "--baseline", *options)
    missing = ("--baseline", "--set", tmp_path / "none")
    assert "has no frozen version" in error(capsys, "replay", "run", "chat", *missing, *options)
    assert "no run begins with 'abc'" in error(capsys, "replay", "show", "abc", *options)
    assert "is not DIR/NAME" in error(capsys, "replay", "run", "m", "--set", "a/b@x", *options)
    empty = tmp_path / "empty.yaml"
    empty.write_text(f"store: {{url: 'sqlite:///{tmp_path}/store.db'}}\n")
    assert "replay.model is missing" in error(capsys, "replay", "run", "chat", "-c", empty)
    assert replay_worker.MAX_ATTEMPTS > 1


@pytest.mark.parametrize(
    "words",
    [
        ("run", "chat"),
        ("list",),
        ("show", "a"),
        ("compare", "a"),
        ("export", "a"),
        ("work", "--once"),
    ],
)
def test_a_plain_installation_names_the_extra(
    configured: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    """Without its packages each command says how to install them."""
    monkeypatch.setattr(replay_setup, "_PACKAGES", ("not_installed",))
    text = error(capsys, "replay", *words, "-c", configured)
    assert "pip install '.[replay]' in a checkout (not_installed is missing)" in text
