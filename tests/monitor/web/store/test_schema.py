"""The tables of the web application: as its migrations make them, and final where they say so."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text

from monitor.database.errors import StoreError
from monitor.database.opening import open_store, upgrade
from monitor.database.store import Store
from monitor.web.store.schema import SCHEMA
from monitor.web.store.tables import AUDIT, FIXED, METADATA
from monitor.web.views import decisions
from monitor.web.views.decisions import NewDecision
from replay.store.database.opening import SCHEMA as RESULTS
from tests.monitor.web.reviews import START, add_person
from tests.replay.store.postgresql import PASSWORD, Postgresql


def test_the_migrations_create_the_tables(store: Store) -> None:
    """Tables of the code and of the migrations do not differ on either database."""
    options = {
        "version_table": SCHEMA.version_table,
        "compare_type": True,
        "include_name": lambda name, kind, _: kind != "table" or str(name).startswith("web_"),
    }
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_each_schema_is_upgraded_by_itself(tmp_path: Path, postgresql: Postgresql) -> None:
    """A database with one schema gets the other one, and keeps its rows."""
    for url in (f"sqlite:///{tmp_path / 'new.db'}", postgresql.create_database()):
        assert upgrade(url, PASSWORD, (RESULTS,)) == RESULTS.revisions
        assert upgrade(url, PASSWORD, (RESULTS, SCHEMA)) == SCHEMA.revisions
        assert upgrade(url, PASSWORD, (RESULTS, SCHEMA)) == ()
        open_store(url, PASSWORD, (SCHEMA,)).close()


def record(store: Store) -> None:
    """Record a decision."""
    person = add_person(store)
    with store.write() as connection:
        decisions.decide(connection, NewDecision("model/llama", "hold", "slow"), person.id, START)


@pytest.mark.parametrize("table", FIXED)
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET {} = {}"])
def test_final_rows_cannot_be_changed(store: Store, table: str, change: str) -> None:
    """Triggers refuse it for every table whose rows are final."""
    triggers = (
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
        if store.engine.dialect.name == "sqlite"
        else "SELECT count(*) FROM pg_trigger WHERE tgrelid = CAST(:table AS regclass)"
    )
    with store.read() as connection:
        assert connection.execute(text(triggers), {"table": table}).scalar_one() >= 2
    if table in {"web_audit", "web_decisions"}:
        record(store)
        column = "kind" if table == "web_audit" else "reason"
        with pytest.raises(Exception, match="append-only"), store.write() as connection:
            connection.execute(text(change.format(table, column, column)))


def test_a_change_behind_the_triggers_is_found(store: Store) -> None:
    """Verification names the first row that differs, in the trail or in the decisions."""
    record(store)
    with store.read() as connection:
        status = decisions.verify(connection)
        assert status.broken is None
        assert decisions.verify(connection, status.head).broken is None
        assert decisions.verify(connection, "f" * 64).broken is not None
    for table, column in (("web_decisions", "reason"), ("web_audit", "content")):
        with store.write() as connection:
            if store.engine.dialect.name == "sqlite":
                connection.execute(text(f"DROP TRIGGER keep_{table}_update"))
            else:
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            connection.execute(text(f"UPDATE {table} SET {column} = 'changed'"))
        with store.read() as connection:
            broken = decisions.verify(connection).broken
            assert broken is not None
            assert broken.table == table
        if store.engine.dialect.name != "sqlite":
            with store.write() as connection:
                connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def test_every_change_of_rights_is_in_the_trail(store: Store) -> None:
    """People, tokens and decisions leave a row each, which names who did it."""
    record(store)
    with store.read() as connection:
        kinds = list(connection.execute(select(AUDIT.table.c.kind)).scalars())
    assert sorted(kinds) == ["decision", "person added"]


def test_a_newer_schema_is_refused(sqlite_url: str, sqlite_store: Store) -> None:
    """An older program neither opens nor upgrades it."""
    with sqlite_store.write() as connection:
        connection.execute(text("UPDATE web_schema_version SET version_num = 'web9999'"))
    with pytest.raises(StoreError, match="newer"):
        open_store(sqlite_url, None, (SCHEMA,))
