"""What was recorded cannot be changed by accident, and a change by intent is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import msgspec
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from replay.store import Store, baselines, chain, queue, sets
from replay.store.database.tables import METADATA
from replay.store.queries.integrity import verify
from tests.replay.store.runs import append, claimed, enqueue, finish, scores
from tests.replay.store.test_sets import item_set


@pytest.fixture
def filled(store: Store) -> Store:
    """Return a store with a set, a finished run, its baseline, and a queued run."""
    with store.write() as connection:
        sets.save(connection, item_set(), 1.0)
    lease = claimed(store, set_digest=item_set().digest)
    append(store, lease, scores(0, 5))
    decision = {"verdict": "not_regressed", "flips": [{"item": "i", "baseline_response": "secret"}]}
    finish(store, lease, decision=decision)
    with store.write() as connection:
        baselines.accept(connection, lease.run, 10.0)
    enqueue(store, "later", at=11.0)
    return store


@contextmanager
def without_triggers(store: Store) -> Iterator[Connection]:
    """Yield a connection of an owner who removes the triggers."""
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            names = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for name in connection.execute(text(names)).scalars().all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        yield connection


def test_the_chain_follows_its_formula(filled: Store) -> None:
    """Each hash is SHA-256 of the previous one and the JSON of the row, computed here anew."""
    with filled.read() as connection:
        rows = list(chain.entries(connection))
        status = verify(connection)
    kinds = ["set", "run", "decision", "finish", "baseline", "run"]
    assert [row.kind for row in rows] == kinds
    for row in rows:
        fields = [row.seq, row.kind, row.subject, row.at, row.content]
        content = row.previous.encode() + msgspec.json.encode(fields)
        assert row.hash == hashlib.sha256(content).hexdigest()
    assert all(second.previous == first.hash for first, second in pairwise(rows))
    assert (status.entries, status.head, status.broken) == (6, rows[-1].hash, None)
    assert "secret" not in "".join(row.content for row in rows)


FORBIDDEN = [
    "UPDATE ledger SET content = '{}'",
    "DELETE FROM ledger WHERE seq = 6",
    "UPDATE item_results SET metrics = '{}'",
    "DELETE FROM item_results",
    "UPDATE run_tasks SET metric = 'f1'",
    "UPDATE task_scores SET mean = 1",
    "UPDATE item_sets SET name = 'x'",
    "DELETE FROM set_items",
    "UPDATE environments SET content = '{}'",
    "UPDATE runs SET verdict = 'not_regressed' WHERE state = 'finished'",
    "UPDATE runs SET model = 'x' WHERE state = 'queued'",
    "DELETE FROM runs WHERE state = 'queued'",
]


def test_rows_of_the_record_are_refused_a_change(filled: Store) -> None:
    """The database itself refuses it, and all is intact."""
    for statement in FORBIDDEN:
        with pytest.raises(DBAPIError, match="append-only"), filled.write() as connection:
            connection.execute(text(statement))
    with filled.read() as connection:
        assert verify(connection).broken is None


def test_a_row_of_the_ledger_cannot_be_replaced_or_truncated(filled: Store) -> None:
    """SQLite's INSERT OR REPLACE and PostgreSQL's TRUNCATE are refused as well."""
    statement = "TRUNCATE ledger"
    if filled.engine.dialect.name == "sqlite":
        statement = "INSERT OR REPLACE INTO ledger SELECT * FROM ledger WHERE seq = 2"
    with pytest.raises(DBAPIError, match="append-only"), filled.write() as connection:
        connection.execute(text(statement))


TAMPERED = [
    ("UPDATE ledger SET content = '{}' WHERE seq = 3", "ledger 3: its content"),
    ("UPDATE ledger SET at = at + 1 WHERE seq = 4", "ledger 4: its content"),
    ("UPDATE ledger SET subject = 'x' WHERE seq = 5", "ledger 5: its content"),
    ("DELETE FROM ledger WHERE seq = 2", "ledger 3: row 2 is missing"),
    ("UPDATE ledger SET previous = hash WHERE seq = 2", "ledger 2: its previous hash"),
    ("DELETE FROM ledger WHERE seq >= 5", "was added without the ledger"),
    ("UPDATE runs SET verdict = 'regressed' WHERE state = 'finished'", "verdict differ"),
    ("UPDATE runs SET cost_usd = 1 WHERE state = 'finished'", "cost_usd differ"),
    ("UPDATE runs SET state = 'queued'", "is no longer finished"),
    ("UPDATE runs SET model = 'x' WHERE state = 'queued'", "model differ"),
    ("UPDATE runs SET plan = '{}' WHERE state = 'queued'", "plan differ"),
    ("DELETE FROM runs WHERE state = 'queued'", "was deleted"),
    ("UPDATE item_results SET metrics = '{\"exact_match\":0.0}' WHERE doc_id = 4", "results"),
    ("DELETE FROM item_results WHERE doc_id = 4", "results of this run differ"),
    ("UPDATE run_tasks SET metric = 'f1'", "results of this run differ"),
    ("UPDATE task_scores SET mean = 0.123", "scores of its tasks differ"),
    ("DELETE FROM task_scores", "scores of its tasks differ"),
    ("UPDATE environments SET content = '{}'", "environments"),
    ("UPDATE set_items SET content = '{}'", "items differ from the ledger"),
    ("UPDATE baselines SET created_at = 11", "baselines"),
]


def test_a_change_by_the_owner_is_found(filled: Store) -> None:
    """The first broken row is named."""
    with without_triggers(filled) as connection:
        for statement, problem in TAMPERED:
            with connection.begin_nested() as savepoint:
                connection.exec_driver_sql(statement)
                broken = verify(connection).broken
                assert problem in str(broken), statement
                savepoint.rollback()
        assert verify(connection).broken is None


def test_a_chain_that_was_computed_anew_lacks_the_noted_head(filled: Store) -> None:
    """Only a head noted elsewhere reveals an owner who rewrites everything after a row."""
    with filled.read() as connection:
        noted = chain.verify_chain(connection).head
    with without_triggers(filled) as connection:
        connection.execute(text("DELETE FROM ledger WHERE seq = 6"))
        connection.execute(text("DELETE FROM runs WHERE state = 'queued'"))
    with filled.read() as connection:
        assert verify(connection).broken is None
        assert "no row has the noted head" in str(verify(connection, noted).broken)
    enqueue(filled, "another")
    with filled.read() as connection:
        head = verify(connection).head
    enqueue(filled, "one more")
    with filled.read() as connection:
        assert verify(connection, head).broken is None


def test_every_table_of_the_record_is_protected(store: Store) -> None:
    """A new table is either protected by triggers, or named here with the reason."""
    changing = {
        "runs": "its triggers allow what is not final",
        "source_offsets": "state",
        "outbox": "state",
        "gpu_slots": "state",
        "gpu_usage": "state",
        "judge_scores": "what was paid for; item_results has the scores",
        "judge_spending": "state",
        "waiting_alarms": "state",
        "responses": "erasable",
        "item_texts": "erasable",
        "baselines": "the ledger has them",
    }
    with store.read() as connection:
        sqlite = "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'"
        other = "SELECT event_object_table FROM information_schema.triggers"
        query = sqlite if connection.dialect.name == "sqlite" else other
        protected = set(connection.execute(text(query)).scalars())
        assert queue.state(connection).queued == 0
    assert protected | set(changing) == set(METADATA.tables)
