"""Scores on internal sets beside those on public benchmarks, of models that ran both."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from sqlalchemy import Connection, and_, select

from replay.store.database.tables import ITEM_RESULTS, ITEM_SETS, RUNS, SET_ITEMS, TASK_SCORES
from replay.store.results import TaskMean, mean_of


class SetMean(msgspec.Struct, frozen=True):
    """A score on an item set: its name and version, and the mean."""

    name: str
    version: int
    mean: TaskMean


class ModelScores(msgspec.Struct, frozen=True, kw_only=True):
    """The newest scores of a model, by its digest: on item sets, and on public tasks."""

    model: str
    model_digest: str
    internal: tuple[SetMean, ...]
    public: tuple[TaskMean, ...]


def beside(connection: Connection, model: str = "") -> tuple[ModelScores, ...]:
    """Return the newest scores of each model that ran both an item set and a public benchmark.

    A task is internal if its items are in the item set of the run; all others are public.
    """
    of_set = and_(
        SET_ITEMS.c.set_digest == RUNS.c.set_digest, SET_ITEMS.c.item == ITEM_RESULTS.c.item
    )
    of_task = and_(
        ITEM_RESULTS.c.run == TASK_SCORES.c.run, ITEM_RESULTS.c.task == TASK_SCORES.c.task
    )
    own = select(ITEM_RESULTS.c.run).where(of_set, of_task).correlate(TASK_SCORES, RUNS).exists()
    query = (
        select(
            *TASK_SCORES.c,
            RUNS.c.model,
            RUNS.c.model_digest,
            ITEM_SETS.c.name,
            ITEM_SETS.c.version,
            own.label("own"),
        )
        .select_from(TASK_SCORES)
        .join(RUNS, RUNS.c.id == TASK_SCORES.c.run)
        .join(ITEM_SETS, ITEM_SETS.c.digest == RUNS.c.set_digest, isouter=True)
        .where(RUNS.c.verdict.not_in(["error", "cancelled"]), TASK_SCORES.c.n > 0)
        .order_by(RUNS.c.finished_at, RUNS.c.id)
    )
    if model:
        query = query.where(RUNS.c.model == model)
    internal: dict[tuple[str, str], dict[tuple[str, str, str], SetMean]] = defaultdict(dict)
    public: dict[tuple[str, str], dict[tuple[str, str], TaskMean]] = defaultdict(dict)
    for row in connection.execute(query):  # a newer score replaces an older one
        mean, key = mean_of(row), (row.model, row.model_digest)
        if row.own:
            internal[key][row.name, row.task, row.filter] = SetMean(row.name, row.version, mean)
        else:
            public[key][row.task, row.filter] = mean
    return tuple(
        ModelScores(
            model=key[0],
            model_digest=key[1],
            internal=tuple(internal[key].values()),
            public=tuple(public[key].values()),
        )
        for key in sorted(internal.keys() & public.keys())
    )
