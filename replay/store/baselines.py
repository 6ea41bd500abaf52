"""Baselines: the run of a model on an item set that candidates are compared with."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select

from monitor.database.columns import clean
from monitor.database.errors import StoreError
from monitor.database.inserting import insert_new
from replay.store import chain, queue
from replay.store.database.tables import BASELINES


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The baseline of a model on a set. created_at: when it was accepted."""

    model: str
    set_digest: str
    run: str
    created_at: float


def accept(connection: Connection, run: str, at: float) -> Baseline:
    """Make a finished run the baseline of its model on its set.

    Raises StoreError if the run does not exist, is not finished or has ended in an error.
    """
    found = queue.find(connection, run)
    if found is None:
        raise StoreError(f"run {run} is not in the store")
    if found.state != "finished" or found.verdict in {"error", "cancelled"}:
        state = found.verdict or found.state
        raise StoreError(f"run {run} is {state}: a baseline needs a finished run with results")
    baseline = Baseline(model=found.model, set_digest=found.set_digest, run=run, created_at=at)
    if insert_new(connection, BASELINES, [msgspec.structs.asdict(baseline)]):
        chain.append(connection, "baseline", run, baseline, at)
    return baseline


def models(connection: Connection) -> tuple[str, ...]:
    """Return the models that have a baseline, in the order of their names."""
    query = select(BASELINES.c.model).distinct().order_by(BASELINES.c.model)
    return tuple(connection.execute(query).scalars())


def find(
    connection: Connection, model: str, set_digest: str = "", until: float | None = None
) -> Baseline | None:
    """Return the newest baseline of a model, optionally on one set; None if there is none.

    until: only of those that were accepted at this time or earlier.
    """
    query = select(BASELINES).where(BASELINES.c.model == clean(model))
    if until is not None:
        query = query.where(BASELINES.c.created_at <= until)
    if set_digest:
        query = query.where(BASELINES.c.set_digest == set_digest)
    row = connection.execute(query.order_by(BASELINES.c.id.desc()).limit(1)).first()
    if row is None:
        return None
    return Baseline(
        model=row.model, set_digest=row.set_digest, run=row.run, created_at=row.created_at
    )
