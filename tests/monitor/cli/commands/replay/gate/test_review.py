"""The stage L3 as a review queue: pairs enter it, and ratings of annotators decide."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.database.opening import open_store
from monitor.database.store import Store
from monitor.web.review import items, queues
from monitor.web.review.model import TIE, Answer
from monitor.web.review.tasks import submitting
from monitor.web.sign_in.people import Person
from monitor.web.views.tasks import task_view
from tests.monitor.cli.command_line import one_line_error, run
from tests.monitor.web.reviews import RUBRIC, SCHEMAS, add_person, add_queue, claim
from tests.replay.gate.scores import scores, write

N = 40
QUEUE = "release-7"
SECRET = "reach me at jane.doe@example.com"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The database of gate and web application."""
    url = f"sqlite:///{tmp_path / 'web.db'}"
    monkeypatch.setenv("PLUMBLINE__STORE__URL", url)
    with open_store(url, None, SCHEMAS) as opened:
        yield opened


def criteria(folder: Path, **people: Any) -> Path:
    """Write criteria on answers that exist, of which two are equal, and return their path."""
    ours = [f"new {n} {SECRET}" for n in range(N - 2)] + ["same", "same"]
    theirs = [f"old {n}" for n in range(N - 2)] + ["same", "same"]
    content = {
        "name": "release",
        "candidate": {
            "results": str(write(folder / "new.jsonl", scores([1.0] * N, responses=ours)))
        },
        "baseline": {
            "results": str(write(folder / "old.jsonl", scores([1.0] * N, responses=theirs)))
        },
        "dimensions": {"quality": {"tasks": ["support"], "margin": 0.1}},
        "stages": ["L3"],
        "tiers": {"L3": N},
        "people": {"queue": QUEUE} | people,
    }
    path = folder / "criteria.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def gate(path: Path) -> tuple[int, str]:
    """Run the gate; return its status and the detail of its stage."""
    report = path.parent / "report.json"
    report.unlink(missing_ok=True)
    status = run("gate", "--criteria", path, "--work", path.parent / "work", "--report", report)
    return status, json.loads(report.read_bytes())["stages"][0].get("detail", "")


def rate_all(store: Store, person: Person, better: str) -> int:
    """Rate all tasks of a person for one side, as they are shown; return their number."""
    with store.read() as connection:
        queue = queues.find(connection, QUEUE)
    number = 0
    while (task := claim(store, queue, person, time.time())) is not None:
        with store.write() as connection:
            view = task_view(connection, task)
            shown = repr(view)
            assert "results" not in shown
            assert "jsonl" not in shown
            assert "example.com" not in shown  # redacted
            [place] = [n for n, text in enumerate(view.responses) if text.startswith(better)]
            answer = Answer(preferences={"overall": task.order[place]})
            submitting.submit(connection, task.id, person.id, answer, 1_000, task.leased_at + 1.0)
        number += 1
    return number


def test_the_ratings_of_a_queue_decide(store: Store, tmp_path: Path) -> None:
    """Pairs that differ wait in the queue; when annotators have compared them, the gate decides."""
    path = criteria(tmp_path)
    status, detail = gate(path)
    assert status == 3
    assert (
        detail == f"{N - 2} of {N - 2} pairs have no label; they wait in the review queue {QUEUE}"
    )
    assert gate(path) == (status, detail)  # a pair enters once
    person = add_person(store)
    assert rate_all(store, person, "new") == N - 2
    assert gate(path) == (0, "")


def test_the_worse_model_is_regressed(store: Store, tmp_path: Path) -> None:
    """If annotators prefer the baseline, the gate fails, whichever answer was shown first."""
    path = criteria(tmp_path)
    gate(path)
    rate_all(store, add_person(store), "old")
    assert gate(path) == (1, "")


def test_a_contested_pair_waits_for_its_verdict(store: Store, tmp_path: Path) -> None:
    """With two annotators, a pair has a label when both agree or an admin has decided."""
    path = criteria(tmp_path, overlap=2)
    gate(path)
    people = [add_person(store, name) for name in ("ann", "bob")]
    rate_all(store, people[0], "new")
    assert gate(path)[1].startswith(f"{N - 2} of {N - 2} pairs")
    rate_all(store, people[1], "old")
    assert gate(path)[1].startswith(f"{N - 2} of {N - 2} pairs")
    with store.write() as connection:
        contested = items.page(connection, QUEUE, states=("contested",), limit=100)
        assert len(contested) == N - 2
        for each in contested:
            tie = Answer(preferences={"overall": TIE})
            submitting.adjudicate(connection, each.id, people[0].id, tie, "equal", each.created_at)
    assert gate(path) == (0, "")


def test_a_queue_of_other_tasks_is_an_error(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pairs enter a pairwise queue only; the error names the queue and its tasks."""
    add_queue(store, "single", QUEUE)
    assert RUBRIC.name == "helpful"
    path = criteria(tmp_path)
    text = one_line_error(capsys, "gate", "--criteria", path, "--work", tmp_path / "work")
    assert f"the queue {QUEUE} has tasks of type single" in text


def test_labels_of_a_file_take_precedence(store: Store, tmp_path: Path) -> None:
    """With --labels the queue is not used, and not created."""
    path, labels = criteria(tmp_path), tmp_path / "labels.jsonl"
    labels.write_text("")
    work = tmp_path / "work"
    assert run("gate", "--criteria", path, "--work", work, "--labels", labels) == 3
    with store.read() as connection:
        assert not queues.listed(connection)
