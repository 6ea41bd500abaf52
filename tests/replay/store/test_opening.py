"""Schemas: created, upgraded, refused. Databases that fail: named errors, nothing half done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from monitor.errors import UserError
from replay.store import (
    Store,
    StoreError,
    StoreFull,
    StoreUnavailable,
    baselines,
    open_store,
    outbox,
    queue,
    upgrade,
)
from replay.store.costs import gpu
from replay.store.database import opening
from replay.store.database.leases import Lease
from replay.store.database.tables import METADATA
from tests.replay.store.postgresql import PASSWORD, Postgresql, running
from tests.replay.store.runs import append, claimed, enqueue, finish, request, scores


def test_the_migrations_create_the_tables(store: Store) -> None:
    """Tables of the code and of the migrations do not differ, and the revisions are alembic's."""
    options = {"version_table": opening.SCHEMA.version_table, "compare_type": True}
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
    config = Config()
    config.set_main_option("script_location", "monitor.database:migrations")
    config.set_main_option("version_locations", opening.SCHEMA.versions)
    config.set_main_option("path_separator", "newline")
    scripts = ScriptDirectory.from_config(config)
    found = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(found)) == opening.SCHEMA.revisions


def test_a_newer_schema_is_refused(url: str, store: Store) -> None:
    """An older Plumbline neither opens nor upgrades it, and says what to do."""
    with store.write() as connection:
        connection.execute(text("UPDATE schema_version SET version_num = '9999'"))
    try:
        for action in (open_store, upgrade):
            with pytest.raises(StoreError, match=r"revision '9999', which is newer.* install"):
                action(url, PASSWORD)
    finally:
        with store.write() as connection:
            newest = {"revision": opening.SCHEMA.revisions[-1]}
            connection.execute(text("UPDATE schema_version SET version_num = :revision"), newest)


def test_a_file_of_sqlite_is_private(tmp_path: Path) -> None:
    """Only its owner reads the texts, also in the files beside it."""
    with open_store(f"sqlite:///{tmp_path / 'new.db'}") as store:
        enqueue(store, "a")
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm"), 0o600)


def test_postgresql_is_upgraded_by_the_command_only(postgresql: Postgresql) -> None:
    """Its account may lack the permission, so opening names the command."""
    url = postgresql.create_database()
    with pytest.raises(StoreError, match="run: plumbline db upgrade"):
        open_store(url, PASSWORD)
    assert upgrade(url, PASSWORD) == opening.SCHEMA.revisions
    open_store(url, PASSWORD).close()


def test_an_account_without_the_right_to_change_tables_works(postgresql: Postgresql) -> None:
    """It opens the store and writes, with the rights that the guide names, and keeps triggers."""
    url = postgresql.create_database()
    upgrade(url, PASSWORD)
    with postgresql.connect(str(make_url(url).database)) as connection:
        connection.execute("CREATE ROLE worker LOGIN PASSWORD 'other'")
        rights = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES"
        connection.execute(f"GRANT {rights} IN SCHEMA public TO worker")
        connection.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO worker")
    with open_store(url.replace("plumbline@", "worker@"), "other") as store:
        lease = claimed(store)
        append(store, lease, scores(0, 2))
        finish(store, lease)
        with store.write() as connection:
            outbox.add(connection, "e", "", b"", 0.0)
            baselines.accept(connection, lease.run, 1.0)
            assert gpu.acquire(connection, "host", 1, claimed_again(connection), 9.0, 1.0)
        with pytest.raises(StoreError, match="must be owner"), store.write() as connection:
            connection.execute(text("DROP TRIGGER keep_runs_delete ON runs"))


def claimed_again(connection: Connection) -> Lease:
    """Insert and claim another run."""
    queue.enqueue(connection, request("again"), 2.0)
    found = queue.claim(connection, "worker", 3.0, 60.0)
    assert found is not None
    return found.lease


def test_threads_share_a_store(store: Store) -> None:
    """Each thread has a connection of its own."""
    with ThreadPoolExecutor(4) as pool:
        inserted = list(pool.map(lambda number: enqueue(store, f"a{number % 10}"), range(40)))
    assert len({run for (run,) in inserted}) == 10
    with store.read() as connection:
        assert queue.state(connection).queued == 10


def test_a_failed_upgrade_changes_nothing(
    tmp_path: Path, postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a revision fails, the database is as before, and the next attempt succeeds."""
    for url in (f"sqlite:///{tmp_path / 'new.db'}", postgresql.create_database()):
        with monkeypatch.context() as patch:
            failing = "replay.store.database.migrations.triggers._sqlite_trigger"
            patch.setattr(failing, lambda *_: "CREATE TRIGGER")
            failing = "replay.store.database.migrations.triggers._postgresql_trigger"
            patch.setattr(failing, lambda *_: "CREATE TRIGGER")
            with pytest.raises(Exception, match=r"(?i)syntax|incomplete"):
                upgrade(url, PASSWORD)
        assert upgrade(url, PASSWORD) == opening.SCHEMA.revisions


@pytest.mark.parametrize(
    "url",
    ["plumbline.db", "mysql://u:hunter2@h/d", "sqlite://", "sqlite:///:memory:", "://hunter2"],
)
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    """The message names the key, and no password."""
    with pytest.raises(StoreError, match=r"^store\.url") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_wrong_passwords_and_databases_are_errors_of_the_user(postgresql: Postgresql) -> None:
    """They are not worth a retry. Neither the password nor SQL is in the message."""
    url = postgresql.create_database()
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        open_store(url, "hunter2")
    assert not isinstance(caught.value, StoreUnavailable)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreError, match="does not exist") as caught:
        open_store(url.replace("/store_", "/missing_"), PASSWORD)
    assert not isinstance(caught.value, StoreUnavailable)
    assert isinstance(caught.value, UserError)


def test_files_that_are_no_database_are_named(tmp_path: Path) -> None:
    """A text file, a missing folder and a read-only file are errors with their place."""
    (tmp_path / "text.db").write_text("not a database, whatever its name is" * 100)
    with pytest.raises(StoreError, match=r"text\.db: file is not a database"):
        open_store(f"sqlite:///{tmp_path / 'text.db'}")
    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        open_store(f"sqlite:///{tmp_path / 'missing' / 'x.db'}")


def insert_while_it_stops(store: Store, server: Postgresql) -> None:
    """Insert a run, stop the server like a crash, and insert another one."""
    with store.write() as connection:
        queue.enqueue(connection, request("lost"), 1.0)
        server.abort()
        queue.enqueue(connection, request("lost too"), 1.0)


def test_a_database_that_stops_is_unavailable_until_it_returns() -> None:
    """A transaction fails as a whole and can be repeated; the same store then works again."""
    with running() as server:
        url = server.create_database()
        upgrade(url, PASSWORD)
        with open_store(url, PASSWORD) as store:
            lease = claimed(store)
            with pytest.raises(StoreUnavailable, match="store postgresql"):
                insert_while_it_stops(store, server)
            with pytest.raises(StoreUnavailable):
                append(store, lease, scores(0, 1))
            with pytest.raises(StoreUnavailable):
                open_store(url, PASSWORD)
            server.start()
            assert append(store, lease, scores(0, 1)) == 1
            with store.read() as connection:
                assert queue.state(connection) == queue.QueueState(0, 1, 0, None)


def fill_the_disk(store: Store) -> None:
    """Write beyond the largest size of SQLite; let PostgreSQL raise its error for a full disk."""
    with store.write() as connection:
        outbox.add(connection, "lost", "", b"", 0.0)
        if store.engine.dialect.name == "sqlite":
            connection.execute(text("PRAGMA max_page_count = 1"))  # no page more than there are
            outbox.add(connection, "large", "", bytes(1_000_000), 0.0)
        else:
            raised = "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'"
            connection.execute(text(f"DO $$ BEGIN {raised}; END $$"))


def test_a_full_disk_is_named_and_undone(store: Store) -> None:
    """The transaction does nothing; with space again, the store works."""
    lease = claimed(store)
    append(store, lease, scores(0, 1))
    with pytest.raises(StoreFull, match="free space on the disk"):
        fill_the_disk(store)
    store.close()
    assert append(store, lease, scores(0, 3)) == 2
    with store.read() as connection:
        assert outbox.pending(connection) == ()


def update_runs(store: Store, timeout: str = "") -> None:
    """Change all runs. timeout: of locks, for PostgreSQL."""
    with store.write() as connection:
        if timeout:
            connection.execute(text(f"SET LOCAL lock_timeout = '{timeout}'"))
        connection.execute(text("UPDATE runs SET done = 1"))


def test_a_writer_that_waits_too_long_is_told_to_repeat(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is held too long makes the store unavailable, which is worth a retry."""
    enqueue(store, "a")
    sqlite = store.engine.dialect.name == "sqlite"
    monkeypatch.setattr("monitor.database.store.BUSY_TIMEOUT_S", 0)
    store.close()
    with store.write() as connection:
        connection.execute(text("UPDATE runs SET done = 2"))
        with pytest.raises(StoreUnavailable, match="lock"):
            update_runs(store, "" if sqlite else "100ms")
    update_runs(store)
