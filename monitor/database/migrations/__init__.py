"""The environment in which alembic runs the revisions of all schemas."""
