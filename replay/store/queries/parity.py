"""Parity audit: the same model on the same items must reproduce its score."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from replay.store.database.tables import ITEM_RESULTS, RUNS
from replay.store.queries import runs
from replay.store.queue import Run

TOLERANCE: Final = 0.005
"""Largest difference of a mean score that counts as reproduced; batches on a GPU change a few."""


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """A run beside the earlier one of the same model and items.

    reproduced: all tasks are within the tolerance; False as well if no task can be compared.
    tasks: difference of the mean score by task, this run less the earlier one; None without pairs.
    changes: items with another score. environment: entries that differ, as (earlier, this).
    """

    run: Run
    earlier: Run
    tolerance: float
    reproduced: bool
    tasks: dict[str, float | None]
    changes: int
    environment: dict[str, tuple[Any, Any]]


def audit(connection: Connection, run: str, tolerance: float = TOLERANCE) -> Parity | None:
    """Compare a run with the newest earlier one of the same model digest and set digest.

    Returns None if there is none. Raises StoreError if the run does not exist.
    """
    this = runs.show(connection, run).run
    has_items = select(ITEM_RESULTS.c.run).where(ITEM_RESULTS.c.run == RUNS.c.id).exists()
    query = (
        select(RUNS.c.id)
        .where(
            RUNS.c.model_digest == this.model_digest,
            RUNS.c.set_digest == this.set_digest,
            RUNS.c.state == "finished",
            RUNS.c.verdict.not_in(["error", "cancelled"]),
            RUNS.c.created_at <= this.created_at,
            RUNS.c.id != this.id,
            has_items,
        )
        .order_by(RUNS.c.created_at.desc(), RUNS.c.id)
        .limit(1)
    )
    earlier = connection.execute(query).scalar()
    if earlier is None:
        return None
    found = runs.compare(connection, earlier, run)
    differences = {task.task: task.difference if task.n else None for task in found.tasks}
    return Parity(
        run=found.second,
        earlier=found.first,
        tolerance=tolerance,
        reproduced=bool(differences)
        and all(each is not None and abs(each) <= tolerance for each in differences.values())
        and not any(task.mismatched for task in found.tasks),
        tasks=differences,
        changes=sum(task.changes for task in found.tasks),
        environment=found.environment,
    )
