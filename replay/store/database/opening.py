"""Open a store: check the version of its schema, or upgrade it under a lock."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from replay.store.database.errors import StoreError
from replay.store.database.store import Store, make_engine, parse, place, translating

REVISIONS: Final = ("0001",)
"""The revisions of the schema, oldest first; one file each in `migrations/versions`."""
VERSION_TABLE: Final = "schema_version"
_LOCK: Final = 0x706C756D
"""Key of the advisory lock of PostgreSQL that one upgrade at a time holds."""


def open_store(url: str, password: str | None = None) -> Store:
    """Open a store. A file of SQLite is created and upgraded as needed.

    Raises StoreError if a schema is newer than this version, or if that of PostgreSQL is older:
    its account may lack the permission, so `plumbline db upgrade` is a step of its own. Raises
    StoreUnavailable if the database cannot be reached.
    """
    store = Store(make_engine(parse(url, password)))
    try:
        with store.read() as connection:
            pending = _pending(connection, store.place)
        if pending and store.engine.dialect.name == "sqlite":
            upgrade(url)
        elif pending:
            raise StoreError(
                f"store {store.place}: its schema is older than this version of Plumbline;"
                " run: plumbline db upgrade"
            )
    except BaseException:
        store.close()
        raise
    return store


def upgrade(url: str, password: str | None = None) -> tuple[str, ...]:
    """Upgrade the schema and return the revisions applied. Several processes may call it at once.

    Either all revisions are applied or none. Raises StoreError and StoreUnavailable.
    """
    parsed = parse(url, password)
    engine = make_engine(parsed, foreign_keys=False)
    try:
        with translating(place(parsed)):
            return _upgrade(engine)
    finally:
        engine.dispose()


def _upgrade(engine: Engine) -> tuple[str, ...]:
    with engine.begin() as connection:  # of SQLite: BEGIN IMMEDIATE, which is the lock
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        pending = _pending(connection, place(engine.url))
        if pending:
            _migrate(connection)
        if engine.dialect.name == "sqlite":
            broken = connection.execute(text("PRAGMA foreign_key_check")).first()
            if broken is not None:
                raise StoreError(
                    f"store {place(engine.url)}: rows of {broken[0]} lack their parent"
                )
        return pending


def _pending(connection: Connection, where: str) -> tuple[str, ...]:
    """Return the revisions that the schema lacks. Raises StoreError if it has unknown ones."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return REVISIONS
    current = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    if current is None:
        return REVISIONS
    if current not in REVISIONS:
        raise StoreError(
            f"store {where}: its schema has revision {str(current)[:32]!r}, which is newer than"
            f" this version of Plumbline knows ({REVISIONS[-1]}); install the newer version"
        )
    return REVISIONS[REVISIONS.index(current) + 1 :]


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import, and seldom needed
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", "replay.store.database:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
