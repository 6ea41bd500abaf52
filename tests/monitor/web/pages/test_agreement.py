"""Pages of agreement and of annotators: the rows of all types of tasks, and when they change."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Connection

from monitor.database.errors import StoreUnavailable
from monitor.database.store import Store
from monitor.statistics.agreement import Estimate
from monitor.web.pages.review import reports as module
from monitor.web.pages.review.reports import KEPT_SECONDS, PAUSE, Kept, Reports, rows
from monitor.web.review.model import Answer, NotFound, Span
from monitor.web.views.agreement.build import build
from monitor.web.views.agreement.reading import Reviewed, read
from monitor.web.views.agreement.report import QueueReport
from tests.integration.harness import until
from tests.monitor.web.pages.scenes import item
from tests.monitor.web.reviews import START, add_items, add_person, add_queue, rate

ITEMS = 6
ANSWERS = {
    "single": Answer(scores={"accuracy": 1, "fluency": 2}),
    "pairwise": Answer(preferences={"overall": 1}),
    "ranking": Answer(ranking=((2,), (0,), (1,))),
    "spans": Answer(spans=(Span(0, 0, 5, "accuracy"),)),
}
NAMES = {
    "single": ["accuracy", "fluency", "reaches the pass mark"],
    "pairwise": ["overall"],
    "ranking": ["ranking"],
    "spans": ["marked characters", "any error", "accuracy"],
}


def rated(store: Store, task: str) -> None:
    """Add a queue in which two people gave the same answers."""
    queue = add_queue(store, task, "queue", overlap=2)
    add_items(store, queue, [item(number, task) for number in range(ITEMS)])
    for person in (add_person(store, "ann"), add_person(store, "bob")):
        for _ in range(ITEMS):
            rate(store, queue, person, ANSWERS[task])


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("task", ANSWERS)
def test_equal_answers_agree(sqlite_store: Store, task: str) -> None:
    """Each type of task has its rows; equal answers agree as far as their value is defined."""
    rated(sqlite_store, task)
    kept = Reports().report(sqlite_store, "queue", START)
    assert kept is not None
    found = rows(kept.report)
    assert [row.name for row in found][: len(NAMES[task])] == NAMES[task]
    assert all(row.items == ITEMS for row in found[: len(NAMES[task])])
    values = [each.value for _, each in found[0].coefficients if isinstance(each, Estimate)]
    assert values
    assert set(values) == {1.0}
    assert sorted(kept.names.values()) == ["ann", "bob"]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for each report, on a machine under load."""
    monkeypatch.setattr(module, "WAIT_SECONDS", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_report_follows_the_ratings(sqlite_store: Store) -> None:
    """A report is kept until a rating is added or its time is over."""
    rated(sqlite_store, "single")
    reports = Reports()
    first = reports.report(sqlite_store, "queue", START)
    assert reports.report(sqlite_store, "queue", START + 1.0) is first
    later = START + KEPT_SECONDS
    second = reports.report(sqlite_store, "queue", later)
    assert second is not first
    queue = add_queue(sqlite_store, "single", "other", overlap=1)
    add_items(sqlite_store, queue, [item(1, "single")])
    rate(sqlite_store, queue, add_person(sqlite_store, "ann"))
    assert reports.report(sqlite_store, "queue", later) is second
    other = reports.report(sqlite_store, "other", later)
    assert other is not None
    assert other.report.ratings == 1


def test_a_slow_report_holds_up_no_page(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first report is awaited elsewhere; later the last one is shown while a new one is built.

    It is built once for any number of requests, and seldom if it takes long.
    """
    rated(sqlite_store, "single")
    release, built = threading.Event(), []

    def slow(reviewed: Reviewed) -> QueueReport:
        built.append(reviewed.queue.name)
        release.wait(60.0)
        return build(reviewed)

    monkeypatch.setattr(module, "build", slow)
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    reports = Reports()
    assert [reports.report(sqlite_store, "queue", START) for _ in range(3)] == [None] * 3
    release.set()
    until(lambda: reports.report(sqlite_store, "queue", START) is not None, "the first report")
    first = reports.report(sqlite_store, "queue", START)
    assert first is not None
    assert built == ["queue"]
    release.clear()
    soon, later = START + 0.9 * PAUSE * first.seconds, START + PAUSE * first.seconds + KEPT_SECONDS
    assert reports.report(sqlite_store, "queue", soon) is first
    assert built == ["queue"]
    assert [reports.report(sqlite_store, "queue", later) for _ in range(3)] == [first] * 3
    release.set()

    def replaced() -> bool:
        found: Kept | None = reports.report(sqlite_store, "queue", later)
        return found is not None and found.at == later

    until(replaced, "the second report")
    assert built == ["queue", "queue"]


def test_a_report_that_was_built_meanwhile_is_not_built_again(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that looked before the end of a build gets its result."""
    rated(sqlite_store, "single")
    built = []

    def counted(reviewed: Reviewed) -> QueueReport:
        built.append(reviewed.queue.name)
        return build(reviewed)

    monkeypatch.setattr(module, "build", counted)
    monkeypatch.setattr(module, "WAIT_SECONDS", 60.0)
    reports = Reports()
    seen = module._ratings

    def late(connection: Connection) -> tuple[int, int]:
        """Another request receives the report while this one counts the ratings."""
        monkeypatch.setattr(module, "_ratings", seen)
        assert reports.report(sqlite_store, "queue", START) is not None
        return seen(connection)

    monkeypatch.setattr(module, "_ratings", late)
    assert reports.report(sqlite_store, "queue", START) is not None
    assert built == ["queue"]


def test_a_long_queue_does_not_wait_for_its_first_report(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its page says at once that the report is being computed."""
    rated(sqlite_store, "single")
    release = threading.Event()

    def slow(reviewed: Reviewed) -> QueueReport:
        release.wait(60.0)
        return build(reviewed)

    monkeypatch.setattr(module, "build", slow)
    monkeypatch.setattr(module, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(module, "FEW_RATINGS", 1)
    reports = Reports()
    assert reports.report(sqlite_store, "queue", START) is None
    release.set()
    until(lambda: reports.report(sqlite_store, "queue", START) is not None, "the report")


def test_a_failed_report_is_built_again(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error reaches the request that waits, and the next request begins anew."""
    rated(sqlite_store, "single")
    monkeypatch.setattr(module, "WAIT_SECONDS", 60.0)
    reports = Reports()

    def fail(*_: object) -> Reviewed:
        raise StoreUnavailable("away")

    monkeypatch.setattr(module, "read", fail)
    with pytest.raises(StoreUnavailable):
        reports.report(sqlite_store, "queue", START)
    monkeypatch.setattr(module, "read", read)
    assert reports.report(sqlite_store, "queue", START) is not None
    with pytest.raises(NotFound):
        reports.report(sqlite_store, "absent", START)
