"""The right of a worker to write to a run."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from replay.store.database.tables import RUNS


class LeaseLost(Exception):
    """Another worker has claimed the run, or it is finished: stop, and write nothing more."""


class Lease(msgspec.Struct, frozen=True):
    """The right of a worker to write to a run. attempt: number of the claim, from 1."""

    run: str
    worker: str
    attempt: int


def locked_row(connection: Connection, lease: Lease) -> Row[Any]:
    """Return the row of a run, locked until the commit. Raises LeaseLost.

    A lease that has expired holds until another worker claims the run.
    """
    query = select(RUNS).where(RUNS.c.id == lease.run).with_for_update()
    row = connection.execute(query).first()
    if row is None or row.state != "running":
        raise LeaseLost(f"run {lease.run} is not running")
    if (row.worker, row.attempts) != (lease.worker, lease.attempt):
        raise LeaseLost(f"run {lease.run} was claimed by another worker")
    return row
