"""Results of runs: the scores of items, chunk by chunk.

A chunk is written once: a row that exists already (after a kill, a chunk is computed again) is kept
as it is. Only the holder of the run's lease writes.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, delete, select

from monitor.database.columns import clean, encode
from monitor.database.inserting import insert_new
from replay.results import ItemScore, RunError, TaskScores
from replay.store.database.leases import Lease, locked_row
from replay.store.database.tables import ITEM_RESULTS, RESPONSES, RUN_TASKS, RUNS, TASK_SCORES

_ORDER: Final = ("task", "doc_id", "filter")


class TaskMean(msgspec.Struct, frozen=True, kw_only=True):
    """The score of a task under one filter: the mean over the items that were answered.

    n: answered items. failed: items without a usable answer. mean, stderr: NaN if they cannot be
    computed.
    """

    task: str
    filter: str
    metric: str
    n: int
    failed: int
    mean: float
    stderr: float


def append(connection: Connection, lease: Lease, chunk: Sequence[TaskScores]) -> int:
    """Write the scores of a chunk; return the number of new rows.

    Raises LeaseLost, and RunError("mismatched_items") if a task is not the one of earlier chunks.
    """
    locked_row(connection, lease)
    for task in chunk:
        _declare(connection, lease.run, task)
    scores = [(task.task, score) for task in chunk for score in task.scores]
    insert_new(connection, RESPONSES, [_response(lease.run, *each) for each in scores])
    return insert_new(connection, ITEM_RESULTS, [_row(lease.run, *each) for each in scores])


def _declare(connection: Connection, run: str, task: TaskScores) -> None:
    """Write the description of a task, or check that it is the one of earlier chunks."""
    wanted = {
        "run": run,
        "task": clean(task.task),
        "metric": clean(task.metric),
        "is_binary": task.binary,
        "higher_is_better": task.higher_is_better,
        "task_digest": clean(task.task_digest),
    }
    insert_new(connection, RUN_TASKS, [wanted])
    query = select(RUN_TASKS).where(RUN_TASKS.c.run == run, RUN_TASKS.c.task == wanted["task"])
    stored = dict(connection.execute(query).one()._mapping)
    # a chunk of graded scores may happen to hold 0 and 1 only; `load` looks at all of them
    changed = [k for k in wanted if k != "is_binary" and stored[k] != wanted[k]]
    if changed:
        detail = f"task {task.task} has changed since its first chunk: {', '.join(changed)}"
        raise RunError("mismatched_items", detail)


def _row(run: str, task: str, score: ItemScore) -> dict[str, Any]:
    fields = msgspec.structs.asdict(score)
    del fields["response"]
    return {"run": run, "task": task, **fields}


def _response(run: str, task: str, score: ItemScore) -> dict[str, Any]:
    return {
        "run": run,
        "task": task,
        "doc_id": score.doc_id,
        "filter": score.filter,
        "response": score.response,
    }


def load(connection: Connection, run: str) -> tuple[TaskScores, ...]:
    """Return all scores of a run by task, in the order of doc ids; erased responses are empty."""
    scores = defaultdict(list)
    for task, score in _scores(connection, run):
        scores[task].append(score)
    query = select(RUN_TASKS).where(RUN_TASKS.c.run == run).order_by(RUN_TASKS.c.task)
    return tuple(
        TaskScores(
            task=row.task,
            metric=row.metric,
            binary=row.is_binary and all(map(partial(_is_binary, row.metric), scores[row.task])),
            higher_is_better=row.higher_is_better,
            task_digest=row.task_digest,
            scores=tuple(scores[row.task]),
        )
        for row in connection.execute(query)
    )


def _is_binary(metric: str, score: ItemScore) -> bool:
    value = score.metrics.get(metric, math.nan)
    return bool(score.failed) or math.isnan(value) or value in {0.0, 1.0}


def _scores(connection: Connection, run: str) -> Iterator[tuple[str, ItemScore]]:
    keys = ("run", *_ORDER)
    same = and_(*(ITEM_RESULTS.c[key] == RESPONSES.c[key] for key in keys))
    query = (
        select(ITEM_RESULTS, RESPONSES.c.response)
        .join(RESPONSES, same, isouter=True)
        .where(ITEM_RESULTS.c.run == run)
        .order_by(*(ITEM_RESULTS.c[key] for key in _ORDER))
    )
    for row in connection.execute(query):
        fields = dict(row._mapping)
        del fields["run"]
        task = fields.pop("task")
        fields["response"] = fields["response"] or ""
        fields["metrics"] = {
            name: math.nan if value is None else value for name, value in row.metrics.items()
        }
        yield task, ItemScore(**fields)


def digest(connection: Connection, run: str) -> str:
    """Return the SHA-256 of all results of a run, without the texts, which can be erased."""
    found = hashlib.sha256()
    for table in (RUN_TASKS, ITEM_RESULTS):
        rows = connection.execute(select(table).where(table.c.run == run))
        # sorted here: databases order texts differently
        for line in sorted(encode(dict(row._mapping)) for row in rows):
            found.update(line.encode() + b"\n")
    return found.hexdigest()


def summarize(connection: Connection, run: str) -> tuple[TaskMean, ...]:
    """Compute the score of each task of a run, and store it. Called when a run finishes."""
    means = compute_means(connection, run)
    rows = [{"run": run, **_finite(msgspec.structs.asdict(mean))} for mean in means]
    insert_new(connection, TASK_SCORES, rows)
    return means


def compute_means(connection: Connection, run: str) -> tuple[TaskMean, ...]:
    """Return the score of each task and filter of a run, from the results of its items."""
    metrics = {
        row.task: row.metric
        for row in connection.execute(select(RUN_TASKS).where(RUN_TASKS.c.run == run))
    }
    groups = defaultdict(list)
    for task, score in _scores(connection, run):
        groups[task, score.filter].append(score)
    return tuple(
        _mean(task, name, metrics[task], groups[task, name]) for task, name in sorted(groups)
    )


def _mean(task: str, name: str, metric: str, scores: list[ItemScore]) -> TaskMean:
    values = [
        value
        for score in scores
        if not score.failed and math.isfinite(value := score.metrics.get(metric, math.nan))
    ]
    n = len(values)
    mean = math.fsum(values) / n if n else math.nan
    squares = math.fsum((value - mean) ** 2 for value in values)
    return TaskMean(
        task=task,
        filter=name,
        metric=metric,
        n=n,
        failed=len(scores) - n,
        mean=mean,
        stderr=math.sqrt(squares / (n - 1) / n) if n > 1 else math.nan,
    )


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with NaN as NULL: databases treat NaN differently."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }


def means(connection: Connection, run: str) -> tuple[TaskMean, ...]:
    """Return the stored scores of a finished run by task and filter."""
    query = select(TASK_SCORES).where(TASK_SCORES.c.run == run)
    rows = connection.execute(query.order_by(TASK_SCORES.c.task, TASK_SCORES.c.filter))
    return tuple(mean_of(row) for row in rows)


def mean_of(row: Any) -> TaskMean:
    """Return the score of a row of `task_scores`."""
    return TaskMean(
        task=row.task,
        filter=row.filter,
        metric=row.metric,
        n=row.n,
        failed=row.failed,
        mean=math.nan if row.mean is None else row.mean,
        stderr=math.nan if row.stderr is None else row.stderr,
    )


def erase_responses(connection: Connection, before: float) -> int:
    """Delete the texts of answers of the runs that finished before a time; return their number."""
    old = select(RUNS.c.id).where(RUNS.c.state == "finished", RUNS.c.finished_at < before)
    return connection.execute(delete(RESPONSES).where(RESPONSES.c.run.in_(old))).rowcount
