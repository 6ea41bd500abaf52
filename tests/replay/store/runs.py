"""Runs and results for tests."""

from __future__ import annotations

from sqlalchemy import Connection

from replay.results import ItemScore, TaskScores
from replay.runner.chunk import finished_items
from replay.sets.item import Item, Provenance
from replay.store import Store, queue, results
from replay.store.database.leases import Lease
from replay.store.queue import Claim, Outcome, Run, RunRequest

LEASE_S = 60.0


def request(alarm: str = "alarm", **changes: object) -> RunRequest:
    """Return a request; runs of different alarms are different runs."""
    fields: dict[str, object] = {
        "alarm": alarm,
        "set_digest": "set",
        "model_digest": "weights",
        "model": "support-bot",
        "trigger": "drift",
        "plan": {"tasks": ["traffic"]},
    }
    return RunRequest(**(fields | changes))  # type: ignore[arg-type] # tests choose the types


def enqueue(store: Store, *alarms: str, at: float = 0.0, **changes: object) -> list[str]:
    """Insert a run for each alarm and return their ids."""
    requests = [request(alarm, **changes) for alarm in alarms]
    with store.write() as connection:
        for each in requests:
            queue.enqueue(connection, each, at)
    return [each.id for each in requests]


def claim(
    store: Store, worker: str = "worker", at: float = 1.0, *, gpu: bool = True
) -> Claim | None:
    """Claim a run in a transaction."""
    with store.write() as connection:
        return queue.claim(connection, worker, at, LEASE_S, gpu=gpu)


def claimed(store: Store, alarm: str = "alarm", at: float = 0.0, **changes: object) -> Lease:
    """Insert a run and claim it."""
    enqueue(store, alarm, at=at, **changes)
    found = claim(store, at=at)
    assert found is not None
    return found.lease


def scores(first: int, last: int, *, value: float = 1.0, task: str = "traffic") -> TaskScores:
    """Return the scores of the items from `first` to `last` - 1."""
    return TaskScores(
        task=task,
        metric="exact_match",
        binary=True,
        task_digest="digest",
        scores=tuple(
            ItemScore(
                item=f"item-{number}",
                doc_id=number,
                prompt_hash=f"p{number}",
                target_hash=f"t{number}",
                metrics={"exact_match": value},
                response=f"answer {number}",
                slices={"language": "de"},
            )
            for number in range(first, last)
        ),
    )


def append(store: Store, lease: Lease, *chunk: TaskScores) -> int:
    """Append a chunk in a transaction."""
    with store.write() as connection:
        return results.append(connection, lease, chunk)


def done(connection: Connection, run: str) -> dict[str, set[int]]:
    """Return the doc ids by task that have a result."""
    return finished_items(results.load(connection, run))


def finish(store: Store, lease: Lease, at: float = 9.0, **changes: object) -> Run:
    """Finish a run in a transaction."""
    fields: dict[str, object] = {
        "verdict": "not_regressed",
        "environment": {"lm_eval": "0.4.13", "gpu": {"name": "none"}},
        "decision": {"verdict": "not_regressed", "delta": 0.01},
    }
    outcome = Outcome(**(fields | changes))  # type: ignore[arg-type] # tests choose the types
    with store.write() as connection:
        return queue.finish(connection, lease, outcome, at)


def item(text: str = "What is 2 + 2?", **changes: object) -> Item:
    """Return an item."""
    fields: dict[str, object] = {
        "prompt": text,
        "scoring": "exact_match",
        "target": "4",
        "slices": {"language": "en"},
        "approved": "ada",
        "provenance": Provenance(origin="sample", request_id="r1", window="reference"),
    }
    return Item(**(fields | changes))  # type: ignore[arg-type] # tests choose the types
