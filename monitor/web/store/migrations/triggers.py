"""Triggers that refuse to change or delete what was recorded, as those of the result store do."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection


def keep_rows(connection: Connection, tables: Sequence[str], chain: str) -> None:
    """Create the triggers of append-only tables. chain: the one that is a hash chain."""
    create = _sqlite if connection.dialect.name == "sqlite" else _postgresql
    for statement in create(tables, chain):
        connection.exec_driver_sql(statement)


def _sqlite(tables: Sequence[str], chain: str) -> list[str]:
    statements = [
        _sqlite_trigger(table, action, "") for table in tables for action in ("UPDATE", "DELETE")
    ]
    # INSERT OR REPLACE deletes a row without running the triggers of DELETE
    replaced = f"WHEN EXISTS (SELECT 1 FROM {chain} WHERE seq = NEW.seq)"
    return [*statements, _sqlite_trigger(chain, "INSERT", replaced)]


def _sqlite_trigger(table: str, action: str, condition: str) -> str:
    return (
        f"CREATE TRIGGER keep_{table}_{action.lower()} BEFORE {action} ON {table} {condition}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


def _postgresql(tables: Sequence[str], chain: str) -> list[str]:
    function = (
        "CREATE FUNCTION plumbline_web_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$"
    )
    kept = (
        f"CREATE TRIGGER keep_{table}_rows BEFORE UPDATE OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION plumbline_web_keep()"
        for table in tables
    )
    whole = (
        f"CREATE TRIGGER keep_{table}_truncate BEFORE TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION plumbline_web_keep()"
        for table in tables
    )
    return [function, *kept, *whole]
