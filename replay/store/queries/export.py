"""Export runs as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from sqlalchemy import Connection

from monitor.database.columns import encode
from replay.store import chain, results
from replay.store.queries import runs


def export(connection: Connection, ids: Iterable[str], *, texts: bool = False) -> Iterator[str]:
    """Yield a JSON text for each run, task, item and ledger row; `type` says which.

    texts: with the responses. They are a stranger's text.
    Raises StoreError if a run does not exist.
    """
    for run in ids:
        yield encode({"type": "run", **msgspec.to_builtins(runs.show(connection, run))})
        for task in results.load(connection, run):
            described = msgspec.to_builtins(task)
            del described["scores"]
            yield encode({"type": "task", "run": run, **described})
            for score in task.scores:
                item = score if texts else msgspec.structs.replace(score, response="")
                fields = msgspec.to_builtins(item)
                yield encode({"type": "item", "run": run, "task": task.task, **fields})
        for entry in chain.entries(connection, subject=run):
            yield encode({"type": "ledger", **msgspec.to_builtins(entry)})
