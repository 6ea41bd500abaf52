"""Verification: the ledger, and that all rows are as the ledger holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, select

from monitor.database.columns import encode
from replay.store import results, sets
from replay.store.chain import Broken, ChainStatus, Entry, entries, verify_chain
from replay.store.database.tables import BASELINES, ENVIRONMENTS, ITEM_SETS, RUNS
from replay.store.queue import CHAINED, REQUESTED

_LATER = "was added without the ledger"
_GONE = "is in the ledger, and was deleted"


def verify(connection: Connection, head: str = "") -> ChainStatus:
    """Verify the ledger, then runs, results, environments, sets and baselines against it.

    head: hash of a row, noted earlier, that must still be in the ledger.
    The status names the first row that is broken. Erased texts break nothing.
    """
    status = verify_chain(connection, head)
    if status.broken is not None:
        return status
    checks = (_runs, _finished, _environments, _sets, _baselines)
    broken = next((found for check in checks for found in check(connection)), None)
    return ChainStatus(status.entries, status.head, broken)


def _entries(connection: Connection, kind: str) -> dict[str, Entry]:
    return {entry.subject: entry for entry in entries(connection, kind)}


def _missing(connection: Connection, table: Table, key: str, kind: str) -> Iterator[Broken]:
    """Yield the rows that only the table has, or only the ledger."""
    rows = set(connection.execute(select(table.c[key])).scalars())
    subjects = set(_entries(connection, kind))
    for row in sorted(rows ^ subjects):
        yield Broken(table.name, row, _LATER if row in rows else _GONE)


def _runs(connection: Connection) -> Iterator[Broken]:
    yield from _missing(connection, RUNS, "id", "run")
    chained = _entries(connection, "run")
    for row in connection.execute(select(RUNS).order_by(RUNS.c.created_at, RUNS.c.id)):
        entry = chained[row.id]
        wanted = {name: getattr(row, name) for name in REQUESTED}
        wanted["plan"] = hashlib.sha256(encode(row.plan).encode()).hexdigest()
        yield from _differences("runs", row.id, entry.value, wanted)
        if row.created_at != entry.at:
            yield Broken("runs", row.id, "created_at differs from the ledger")


def _finished(connection: Connection) -> Iterator[Broken]:
    chained = _entries(connection, "finish")
    finished = RUNS.c.state == "finished"
    rows = {row.id: row for row in connection.execute(select(RUNS).where(finished))}
    for run in sorted(rows.keys() ^ chained.keys()):
        problem = "is finished, but not in the ledger" if run in rows else "is no longer finished"
        yield Broken("runs", run, problem)
    for run in sorted(rows.keys() & chained.keys()):
        wanted = {name: getattr(rows[run], name) for name in CHAINED}
        content = chained[run].value
        digest = content.pop("results")
        yield from _differences("runs", run, content, wanted)
        if digest != results.digest(connection, run):
            yield Broken("item_results", run, "results of this run differ from the ledger")
        # as sets, because databases order texts differently; as JSON, because NaN equals nothing
        stored = map(msgspec.json.encode, results.means(connection, run))
        computed = map(msgspec.json.encode, results.compute_means(connection, run))
        if set(stored) != set(computed):
            yield Broken("task_scores", run, "the scores of its tasks differ from its results")


def _environments(connection: Connection) -> Iterator[Broken]:
    for digest, content in connection.execute(select(ENVIRONMENTS)):
        if digest != hashlib.sha256(encode(content).encode()).hexdigest():
            yield Broken("environments", digest, "its content does not match its digest")


def _sets(connection: Connection) -> Iterator[Broken]:
    yield from _missing(connection, ITEM_SETS, "digest", "set")
    for digest, entry in _entries(connection, "set").items():
        row = connection.execute(select(ITEM_SETS).where(ITEM_SETS.c.digest == digest)).first()
        if row is not None:
            items = sets.items_digest(connection, digest)
            wanted = {"name": row.name, "version": row.version, "items": items}
            yield from _differences("item_sets", digest, entry.value, wanted)


def _baselines(connection: Connection) -> Iterator[Broken]:
    columns = (BASELINES.c.model, BASELINES.c.set_digest, BASELINES.c.run, BASELINES.c.created_at)
    rows = {encode(dict(row._mapping)) for row in connection.execute(select(*columns))}
    chained = {entry.content for entry in entries(connection, "baseline")}
    for row in sorted(rows ^ chained):
        yield Broken("baselines", row, _LATER if row in rows else _GONE)


def _differences(
    table: str, row: str, chained: dict[str, Any], stored: dict[str, Any]
) -> Iterator[Broken]:
    changed = sorted(name for name in stored if chained.get(name) != stored[name])
    if changed:
        yield Broken(table, row, f"{', '.join(changed)} differ from the ledger")
