"""Errors of the store, and their translation from those of the drivers.

Messages contain the driver's first line only: never SQL, parameters, texts or a password.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError

from monitor.errors import UserError


class StoreError(UserError):
    """The store cannot do what was asked. Its message says what to change."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or is busy. The transaction did nothing; repeat it later."""


class StoreFull(StoreError):
    """The disk of the database is full. The transaction did nothing."""


_FULL: Final = frozenset({"53100"})
_PERMANENT: Final = frozenset({"28000", "28P01", "3D000", "42501", "25006", "42P01", "42703"})
"""Of PostgreSQL: wrong password or role, no such database, no permission, read-only, no table."""
_REPEATABLE: Final = ("08", "40", "53", "55", "57", "58")
"""Classes of PostgreSQL: connection, rollback, resources, lock, operator intervention, system."""
_PERMANENT_TEXTS: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "readonly database",
    "file is not a database",
    "no such table",
    "malformed",
)
_FULL_TEXTS: Final = ("disk is full", "no space left")


def translated(error: DBAPIError, place: str) -> StoreError | None:
    """Return the error of the store that a driver's error means; None if it is a defect.

    place: of the database, without a password.
    """
    original = error.orig
    text = str(original).strip().splitlines()[0] if str(original).strip() else "no reason given"
    message = f"store {place}: {text}"
    state = getattr(original, "sqlstate", None)
    if state in _FULL or any(part in text.lower() for part in _FULL_TEXTS):
        return StoreFull(f"{message}; free space on the disk of the database")
    if state in _PERMANENT or (
        state is None and any(part in str(original) for part in _PERMANENT_TEXTS)
    ):
        return StoreError(message)
    operational = type(original).__name__ in {"OperationalError", "InterfaceError"}
    if error.connection_invalidated or (
        state.startswith(_REPEATABLE) if state is not None else operational
    ):
        return StoreUnavailable(message)
    return None
