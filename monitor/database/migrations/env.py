"""What alembic runs: the pending revisions, within the transaction of `opening.upgrade`."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    transactional_ddl=True,  # also of SQLite, because the transaction is ours
)
context.run_migrations()
