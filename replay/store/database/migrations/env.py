"""What alembic runs: the pending revisions, within the transaction of `opening.upgrade`."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table="schema_version",
    transactional_ddl=True,  # also of SQLite, because the transaction is ours
)
context.run_migrations()
