"""The schema of the result store, and how to open it."""

from __future__ import annotations

from typing import Final

from monitor.database import opening
from monitor.database.store import Store

SCHEMA: Final = opening.Schema(
    versions="replay.store.database.migrations:versions",
    revisions=("0001", "0002"),
    version_table="schema_version",
)
"""One file for each revision in `migrations/versions`."""


def open_store(url: str, password: str | None = None) -> Store:
    """Open a result store, as `monitor.database.opening.open_store` does. Raises StoreError."""
    return opening.open_store(url, password, (SCHEMA,))


def upgrade(url: str, password: str | None = None) -> tuple[str, ...]:
    """Upgrade the schema of the result store and return the revisions applied."""
    return opening.upgrade(url, password, (SCHEMA,))
