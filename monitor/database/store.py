"""The store: an engine, and transactions that neither lose an update nor hide a full disk."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from monitor.database.errors import StoreError, StoreUnavailable, translated

BUSY_TIMEOUT_S: Final = 30
"""How long a writer of SQLite waits for the others, and one of PostgreSQL for a lock."""
CONNECT_TIMEOUT_S: Final = 10
_POOL: Final[dict[str, Any]] = {"pool_size": 15, "max_overflow": 0}
"""Connections stay open: beyond the size of a pool each use would open and close one."""
_WRITES: Final = "plumbline_writes"
_POSTGRESQL: Final = frozenset({"postgresql", "postgresql+psycopg"})
_SQLITE: Final = frozenset({"sqlite", "sqlite+pysqlite"})


class Store:
    """A database. Its functions take a connection inside of `read()` or `write()`.

    The functions of `replay.store` can be combined: all that happens in one `write()` is one
    transaction. Threads may share a store.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.place = place(engine.url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection with an unchanging view of the data. Raises StoreUnavailable."""
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection whose changes are committed together, or not at all.

        Raises StoreUnavailable, StoreFull or StoreError; then nothing is changed.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        options: dict[str, Any] = {_WRITES: writes}
        if not writes and self.engine.dialect.name == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        engine = self.engine.execution_options(**options)
        with translating(self.place), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def translating(place: str) -> Iterator[None]:
    """Raise the errors of drivers as those of the store."""
    try:
        yield
    except DBAPIError as error:
        found = translated(error, place)
        if found is None:
            raise
        raise found from None
    except PoolTimeout:
        raise StoreUnavailable(f"store {place}: all connections are in use") from None


def place(url: URL) -> str:
    """Return where a database is, without a password."""
    return url.set(password=None, query={}).render_as_string(hide_password=True)


def parse(url: str, password: str | None = None) -> URL:
    """Return the URL of a database. Raises StoreError without repeating it: it may hold a secret.

    password: of PostgreSQL; without it libpq looks at PGPASSWORD and ~/.pgpass.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError("store.url is not a URL such as sqlite:///plumbline.db") from None
    if parsed.drivername in _SQLITE:
        if not parsed.database or parsed.database == ":memory:" or parsed.query:
            raise StoreError("store.url of SQLite must name a file, as in sqlite:///plumbline.db")
        return parsed.set(drivername="sqlite")
    if parsed.drivername not in _POSTGRESQL:
        raise StoreError("store.url must begin with sqlite:/// or postgresql://")
    parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed if password is None else parsed.set(password=password)


def make_engine(url: URL, *, foreign_keys: bool = True) -> Engine:
    """Return an engine with the settings that this store relies on.

    foreign_keys: SQLite checks them. Migrations do not, because a table that is rewritten would
    delete the rows that refer to it.
    """
    if url.drivername == "sqlite":
        _create_private(str(url.database))
        engine = create_engine(
            url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S}, **_POOL
        )
        event.listen(engine, "connect", lambda raw, _: _prepare(raw, foreign_keys))
        event.listen(engine, "begin", _begin)
        return engine
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        **_POOL,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "keepalives_idle": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": BUSY_TIMEOUT_S * 1000,
            "application_name": "plumbline",
            "options": f"-c lock_timeout={BUSY_TIMEOUT_S}s -c timezone=UTC",
        },
    )


def _create_private(file: str) -> None:
    """Create a file of SQLite that only its owner reads: it holds texts. WAL files follow it."""
    with suppress(OSError):  # it exists, or SQLite reports why it cannot be created
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _prepare(raw: sqlite3.Connection, foreign_keys: bool) -> None:
    """Set up a connection of SQLite. WAL: readers and the writer do not wait for each other."""
    raw.isolation_level = None  # the driver begins no transaction of its own
    raw.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    raw.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
    _switch_to_wal(raw)
    raw.execute("PRAGMA synchronous = NORMAL")


def _switch_to_wal(raw: sqlite3.Connection) -> None:
    """Switch a new file to WAL. The switch itself does not respect busy_timeout."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin(connection: Connection) -> None:
    """Begin a transaction. A reader that starts to write would not wait, hence IMMEDIATE."""
    writes = connection.get_execution_options().get(_WRITES, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
