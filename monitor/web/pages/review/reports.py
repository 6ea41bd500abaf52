"""Reports of queues, kept while their ratings stay, and the rows of their tables."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select

from monitor.database.store import Store
from monitor.statistics.agreement import Estimate, Undefined
from monitor.statistics.review.advice import Advice
from monitor.statistics.review.preferences import PreferenceAgreement
from monitor.statistics.review.ratings import RatingAgreement
from monitor.web.review import queues
from monitor.web.store.tables import ANNOTATIONS, PEOPLE
from monitor.web.views.agreement.build import build
from monitor.web.views.agreement.reading import read
from monitor.web.views.agreement.report import QueueReport

Result = Estimate | Undefined
KEPT_SECONDS: Final = 300.0
"""Time for which a report of unchanged ratings is kept: scores of the judge may have changed."""
WAIT_SECONDS: Final = 0.5
"""Time that a page waits for a report which takes a tenth of it, or for a first one of few ratings.
Then it shows the last one, or that the first is being computed."""
FEW_RATINGS: Final = 1_000
"""Ratings up to which a page waits for the first report."""
PAUSE: Final = 20.0
"""Time until a report is built again, in times that its last build took: at most 5 % of a core."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A report. ratings: id of the newest answer, and number of answers, of all queues: those of
    one queue would be counted row by row. at: epoch seconds. seconds: that it took to build.
    """

    ratings: tuple[int, int]
    at: float
    seconds: float
    report: QueueReport
    names: dict[str, str]


class Reports:
    """Returns reports of queues, which take seconds for large ones. Threads may share it.

    At most one report is kept for each queue, and one is built at a time, in a thread of its own:
    a page gets the last report meanwhile.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._building: dict[str, Future[Kept]] = {}
        self._changing = threading.Lock()
        self._one = threading.Lock()

    def report(self, store: Store, name: str, at: float) -> Kept | None:
        """Return the last report of a queue; None while its first one is being built.

        Raises NotFound.
        """
        known = self._kept.get(name)
        if known is not None and at - known.at < PAUSE * known.seconds:
            return known
        with store.read() as connection:
            queues.find(connection, name)
            ratings = _ratings(connection)
        if known is not None and known.ratings == ratings and at - known.at < KEPT_SECONDS:
            return known
        building = self._start(store, name, at, known)
        quick = ratings[1] <= FEW_RATINGS
        if known is not None:
            quick = known.seconds < WAIT_SECONDS / 10
        with suppress(TimeoutError):
            return building.result(WAIT_SECONDS if quick else 0.0)
        return known

    def _start(self, store: Store, name: str, at: float, known: Kept | None) -> Future[Kept]:
        """Begin to build a report, unless that has begun already, or was done since `known`."""
        with self._changing:
            future = self._building.get(name)
            newest = self._kept.get(name)
            if future is None and newest is not None and newest is not known:
                future = Future()
                future.set_result(newest)
            elif future is None:
                future = self._building[name] = Future()
                work = (store, name, at, future)
                threading.Thread(target=self._build, args=work, name="report", daemon=True).start()
            return future

    def _build(self, store: Store, name: str, at: float, future: Future[Kept]) -> None:
        made: Kept | None = None
        failure: Exception | None = None
        try:
            with self._one:
                made = self._kept[name] = _made(store, name, at)
        except Exception as error:
            failure = error
        with self._changing:  # first: a request that follows the result must begin anew
            del self._building[name]
        if made is None:
            future.set_exception(failure)
        else:
            future.set_result(made)


def _made(store: Store, name: str, at: float) -> Kept:
    started = time.perf_counter()
    with store.read() as connection:
        ratings = _ratings(connection)
        reviewed = read(connection, name)
        query = select(PEOPLE.c.id, PEOPLE.c.name)
        names = {row.id: row.name for row in connection.execute(query)}
    report = build(reviewed)
    seconds = time.perf_counter() - started
    return Kept(ratings, at, seconds, report, {person: names[person] for person in report.people})


def _ratings(connection: Connection) -> tuple[int, int]:
    """Return what changes with each answer, and each one that is undone; read from indexes."""
    newest = connection.execute(select(func.max(ANNOTATIONS.c.id))).scalar_one()
    valid = select(func.count()).where(ANNOTATIONS.c.withdrawn_at.is_(None))
    return newest or 0, connection.execute(valid).scalar_one()


@dataclass(frozen=True, slots=True)
class Row:
    """The agreement of one dimension. items: with two ratings. coefficients: by name."""

    name: str
    items: int
    coefficients: tuple[tuple[str, Result], ...]
    advice: Advice | Undefined


def rows(report: QueueReport) -> list[Row]:
    """Return the rows of the table of agreement, for all types of tasks."""
    found = [_rated(name, each) for name, each in report.scores.items()]
    if report.passed is not None:
        found.append(_rated("reaches the pass mark", report.passed))
    found += [_preferred(name, each) for name, each in report.preferences.items()]
    if report.ranking is not None:
        each = report.ranking
        coefficients = (
            ("Kendall's W", each.concordance),
            ("correlation", each.correlation),
            ("alpha of pairs", each.comparisons.alpha),
        )
        found.append(Row("ranking", each.items, coefficients, each.comparisons.advice))
    if report.spans is not None:
        spans = report.spans
        overlap = (("F1", spans.f1), ("F1 of any kind", spans.f1_any_kind))
        found.append(Row("marked characters", spans.items, overlap, spans.present.advice))
        found.append(_rated("any error", spans.present))
        found += [_rated(kind, each) for kind, each in spans.kinds.items()]
    return found


def _rated(name: str, found: RatingAgreement) -> Row:
    named = (
        ("equal", found.exact),
        ("within 1", found.within_one),
        ("alpha", found.alpha),
        ("AC1", found.ac1),
    )
    known = tuple((label, each) for label, each in named if each is not None)
    return Row(name, found.items, known, found.advice)


def _preferred(name: str, found: PreferenceAgreement) -> Row:
    return Row(name, found.items, (("equal", found.exact), ("alpha", found.alpha)), found.advice)
