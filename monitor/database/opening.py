"""Open a database: check the versions of its schemas, or upgrade them under one lock.

A schema is a set of tables with revisions of its own. The result store and the web application have
one each, so that either can be installed and upgraded without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, inspect, text

from monitor.database.errors import StoreError
from monitor.database.store import Store, make_engine, parse, place, translating

_LOCK: Final = 0x706C756D
"""Key of the advisory lock of PostgreSQL that one upgrade at a time holds."""


class Schema(msgspec.Struct, frozen=True):
    """Tables with revisions of their own.

    revisions: oldest first; one file each in the package `versions` (PACKAGE:FOLDER of alembic).
    version_table: holds the current revision.
    """

    versions: str
    revisions: tuple[str, ...]
    version_table: str


def open_store(url: str, password: str | None, schemas: Sequence[Schema]) -> Store:
    """Open a database. A file of SQLite is created and upgraded as needed.

    Raises StoreError if a schema is newer than this version, or if that of PostgreSQL is older:
    its account may lack the permission, so `plumbline db upgrade` is a step of its own. Raises
    StoreUnavailable if the database cannot be reached.
    """
    store = Store(make_engine(parse(url, password)))
    try:
        with store.read() as connection:
            pending = [_pending(connection, schema, store.place) for schema in schemas]
        if any(pending) and store.engine.dialect.name == "sqlite":
            upgrade(url, password, schemas)
        elif any(pending):
            raise StoreError(
                f"store {store.place}: its schema is older than this version of Plumbline;"
                " run: plumbline db upgrade"
            )
    except BaseException:
        store.close()
        raise
    return store


def upgrade(url: str, password: str | None, schemas: Sequence[Schema]) -> tuple[str, ...]:
    """Upgrade the schemas and return the revisions applied. Several processes may do so at once.

    Either all revisions are applied or none. Raises StoreError and StoreUnavailable.
    """
    parsed = parse(url, password)
    engine = make_engine(parsed, foreign_keys=False)
    try:
        with translating(place(parsed)):
            return _upgrade(engine, schemas)
    finally:
        engine.dispose()


def _upgrade(engine: Engine, schemas: Sequence[Schema]) -> tuple[str, ...]:
    applied: list[str] = []
    with engine.begin() as connection:  # of SQLite: BEGIN IMMEDIATE, which is the lock
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        for schema in schemas:
            pending = _pending(connection, schema, place(engine.url))
            if pending:
                _migrate(connection, schema)
            applied += pending
        if engine.dialect.name == "sqlite":
            broken = connection.execute(text("PRAGMA foreign_key_check")).first()
            if broken is not None:
                raise StoreError(
                    f"store {place(engine.url)}: rows of {broken[0]} lack their parent"
                )
    return tuple(applied)


def _pending(connection: Connection, schema: Schema, where: str) -> tuple[str, ...]:
    """Return the revisions that a database lacks. Raises StoreError if it has unknown ones."""
    if not inspect(connection).has_table(schema.version_table):
        return schema.revisions
    query = text(f"SELECT version_num FROM {schema.version_table}")
    current = connection.execute(query).scalar()
    if current is None:
        return schema.revisions
    if current not in schema.revisions:
        raise StoreError(
            f"store {where}: its schema has revision {str(current)[:32]!r}, which is newer than"
            f" this version of Plumbline knows ({schema.revisions[-1]}); install the newer version"
        )
    return schema.revisions[schema.revisions.index(current) + 1 :]


def _migrate(connection: Connection, schema: Schema) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import, and seldom needed
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", "monitor.database:migrations")
    config.set_main_option("version_locations", schema.versions)
    config.set_main_option("path_separator", "newline")
    config.attributes |= {"connection": connection, "version_table": schema.version_table}
    command.upgrade(config, "head")
