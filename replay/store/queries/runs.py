"""List, show and compare runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from monitor.database.columns import clean
from monitor.database.errors import StoreError
from replay.results import ItemScore, TaskScores
from replay.store import chain, queue, results, sets
from replay.store.database.tables import ENVIRONMENTS, RUNS
from replay.store.queue import Run
from replay.store.results import TaskMean
from replay.store.sets import SetVersion

MOST_CHANGES: Final = 1000


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list; empty: all. since: inserted at this time or later."""

    model: str = ""
    alarm: str = ""
    set_digest: str = ""
    state: str = ""
    verdict: str = ""
    since: float | None = None


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """All that is stored of a run but its items.

    decision: JSON, None without one. item_set: None if the run has none.
    """

    run: Run
    means: tuple[TaskMean, ...]
    environment: dict[str, Any]
    decision: Any
    item_set: SetVersion | None


class TaskComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A task of two runs, over the items that both answered with equal prompt and target.

    n: pairs. difference: second less first. changed: items whose score differs, by id, as (first,
    second), the first ones. changes: number of them. unpaired: items of one run only. mismatched:
    items whose prompt or target differs.
    """

    task: str
    metric: str
    n: int
    first: float
    second: float
    difference: float
    changes: int
    changed: dict[str, tuple[float, float]]
    unpaired: int
    mismatched: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs beside each other. environment: entries that differ, as (first, second)."""

    first: Run
    second: Run
    tasks: tuple[TaskComparison, ...]
    environment: dict[str, tuple[Any, Any]]


def list_runs(connection: Connection, wanted: Filter, limit: int = 100) -> tuple[Run, ...]:
    """Return runs, newest first."""
    query = select(RUNS).order_by(RUNS.c.created_at.desc(), RUNS.c.id).limit(limit)
    for name, value in msgspec.structs.asdict(wanted).items():
        if name == "since":
            query = query if value is None else query.where(RUNS.c.created_at >= value)
        elif value:
            query = query.where(RUNS.c[name] == clean(value))
    return tuple(Run(**row._mapping) for row in connection.execute(query))


def resolve(connection: Connection, prefix: str) -> Run:
    """Return the run whose id begins with a text. Raises StoreError for none or several."""
    matches = RUNS.c.id.startswith(clean(prefix), autoescape=True)
    rows = connection.execute(select(RUNS).where(matches).limit(2)).all()
    if len(rows) != 1 or not prefix:
        found = "several runs begin" if len(rows) > 1 else "no run begins"
        raise StoreError(f"{found} with {prefix[:32]!r}; plumbline replay list shows the ids")
    return Run(**rows[0]._mapping)


def show(connection: Connection, run: str) -> RunDetail:
    """Return what is stored of a run. Raises StoreError if there is no such run."""
    found = queue.find(connection, run)
    if found is None:
        raise StoreError(f"run {run[:32]!r} is not in the store")
    decisions = [entry.value for entry in chain.entries(connection, "decision", run)]
    return RunDetail(
        run=found,
        means=results.means(connection, run),
        environment=environment(connection, found.environment),
        decision=decisions[-1] if decisions else None,
        item_set=sets.get(connection, found.set_digest),
    )


def environment(connection: Connection, digest: str) -> dict[str, Any]:
    """Return the environment with a digest; empty if there is none."""
    query = select(ENVIRONMENTS.c.content).where(ENVIRONMENTS.c.digest == digest)
    return connection.execute(query).scalar() or {}


def compare(connection: Connection, first: str, second: str) -> Comparison:
    """Compare the scores of two runs by task. This describes; the verdict is `decide`'s.

    Raises StoreError if a run does not exist.
    """
    details = [show(connection, run) for run in (first, second)]
    tasks = [results.load(connection, run) for run in (first, second)]
    scores = [{task.task: task for task in each} for each in tasks]
    return Comparison(
        first=details[0].run,
        second=details[1].run,
        tasks=tuple(
            _compared(scores[0][task], scores[1][task])
            for task in sorted(scores[0].keys() & scores[1].keys())
        ),
        environment=changed_entries(*(detail.environment for detail in details)),
    )


def _compared(first: TaskScores, second: TaskScores) -> TaskComparison:
    ours = {(score.doc_id, score.filter): score for score in first.scores}
    theirs = {(score.doc_id, score.filter): score for score in second.scores}
    both = [(ours[key], theirs[key]) for key in sorted(ours.keys() & theirs.keys())]
    pairs = [(a, b) for a, b in both if _question(a) == _question(b)]
    values = [(a.item, _value(a, first.metric), _value(b, first.metric)) for a, b in pairs]
    values = [each for each in values if math.isfinite(each[1]) and math.isfinite(each[2])]
    n = len(values)
    before = math.fsum(value for _, value, _ in values) / n if n else math.nan
    after = math.fsum(value for _, _, value in values) / n if n else math.nan
    changed = {item: (x, y) for item, x, y in values if x != y}
    return TaskComparison(
        task=first.task,
        metric=first.metric,
        n=n,
        first=before,
        second=after,
        difference=after - before,
        changes=len(changed),
        changed=dict(list(changed.items())[:MOST_CHANGES]),
        unpaired=len(ours.keys() ^ theirs.keys()),
        mismatched=len(both) - len(pairs),
    )


def _question(score: ItemScore) -> tuple[str, str, str]:
    return score.item, score.prompt_hash, score.target_hash


def _value(score: ItemScore, metric: str) -> float:
    return math.nan if score.failed else score.metrics.get(metric, math.nan)


def changed_entries(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return the entries that differ by dotted name, as (first, second); None where absent."""
    flat = [dict(_flat(each, "")) for each in (first, second)]
    names = sorted(flat[0].keys() | flat[1].keys())
    pairs = ((name, flat[0].get(name), flat[1].get(name)) for name in names)
    return {name: (a, b) for name, a, b in pairs if a != b}


def _flat(value: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found = []
    for name, part in value.items():
        if isinstance(part, Mapping):
            found += _flat(part, f"{prefix}{name}.")
        else:
            found.append((prefix + str(name), part))
    return found
