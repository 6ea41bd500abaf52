"""The schemas of the database: the result store, and the web application."""

from __future__ import annotations

from typing import Final

from monitor.database import opening
from monitor.database.store import Store
from monitor.web.store.schema import SCHEMA as WEB
from replay.store.database.opening import SCHEMA as RESULTS

SCHEMAS: Final = (RESULTS, WEB)


def open_database(url: str, password: str | None = None) -> Store:
    """Open a database with both schemas. Raises StoreError, and StoreUnavailable."""
    return opening.open_store(url, password, SCHEMAS)


def upgrade(url: str, password: str | None = None) -> tuple[str, ...]:
    """Upgrade both schemas in one transaction and return the revisions applied."""
    return opening.upgrade(url, password, SCHEMAS)
