"""The schema of the web application."""

from __future__ import annotations

from typing import Final

from monitor.database.opening import Schema

SCHEMA: Final = Schema(
    versions="monitor.web.store.migrations:versions",
    revisions=("web0001",),
    version_table="web_schema_version",
)
"""One file for each revision in `migrations/versions`."""
