"""Runs of the result store, for the web application, which does not import it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from monitor.web.views.sources import RunScore, RunSummary

if TYPE_CHECKING:
    from monitor.database.store import Store
    from replay.store.queue import Run
    from replay.store.results import TaskMean


class StoreRuns:
    """Reads runs and their scores."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def newest(self, model: str | None, limit: int) -> Sequence[RunSummary]:
        """Return the newest runs, newest first, with their scores."""
        from replay.store import results  # noqa: PLC0415 - imports sqlalchemy
        from replay.store.queries.runs import Filter, list_runs  # noqa: PLC0415 - the same

        with self._store.read() as connection:
            found = list_runs(connection, Filter(model=model or ""), limit)
            return [_summary(run, results.means(connection, run.id)) for run in found]

    def run(self, identity: str) -> RunSummary | None:
        """Return a run with its scores."""
        from replay.store import queue, results  # noqa: PLC0415 - imports sqlalchemy

        with self._store.read() as connection:
            found = queue.find(connection, identity)
            return None if found is None else _summary(found, results.means(connection, identity))


def _summary(run: Run, means: Sequence[TaskMean]) -> RunSummary:
    return RunSummary(
        id=run.id,
        model=run.model,
        trigger=run.trigger,
        state=run.state,
        verdict=run.verdict,
        reason=run.reason,
        set_digest=run.set_digest,
        created_at=run.created_at,
        finished_at=run.finished_at,
        scores=tuple(
            RunScore(each.task, each.metric, each.n, _finite(each.mean), _finite(each.stderr))
            for each in means
        ),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
