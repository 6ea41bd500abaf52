"""Migrations of the web application's tables, run by alembic."""
