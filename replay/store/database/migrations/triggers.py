"""Triggers that refuse to change or delete what was recorded.

They stop mistakes, and people without the rights of the owner. What an owner does in spite of them
is found by `chain.verify`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

FIXED: Final = (
    *("ledger", "environments", "item_sets", "set_items"),
    *("run_tasks", "item_results", "task_scores"),
)
"""Tables whose rows are never changed or deleted."""
_FINISHED: Final = "OLD.state = 'finished'"
_REQUEST: Final = ("id", "alarm", "set_digest", "model_digest", "model", "created_at")
_CHANGED: Final = " OR ".join(f"NEW.{name} <> OLD.{name}" for name in _REQUEST)


def create_triggers(connection: Connection) -> None:
    """Create the triggers of all tables, in the language of the database."""
    create = _sqlite if connection.dialect.name == "sqlite" else _postgresql
    for statement in create():
        connection.exec_driver_sql(statement)


def _sqlite() -> list[str]:
    statements = [
        _sqlite_trigger(table, action, "") for table in FIXED for action in ("UPDATE", "DELETE")
    ]
    # INSERT OR REPLACE deletes a row without running the triggers of DELETE
    replaced = "EXISTS (SELECT 1 FROM ledger WHERE seq = NEW.seq)"
    return [
        *statements,
        _sqlite_trigger("ledger", "INSERT", f"WHEN {replaced}"),
        _sqlite_trigger("runs", "UPDATE", f"WHEN {_FINISHED} OR {_CHANGED}"),
        _sqlite_trigger("runs", "DELETE", ""),
    ]


def _sqlite_trigger(table: str, action: str, condition: str) -> str:
    return (
        f"CREATE TRIGGER keep_{table}_{action.lower()} BEFORE {action} ON {table} {condition}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


def _postgresql() -> list[str]:
    function = (
        "CREATE FUNCTION plumbline_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$"
    )
    return [
        function,
        *(_postgresql_trigger(table, "UPDATE OR DELETE", "") for table in FIXED),
        _postgresql_trigger("runs", "UPDATE", f"WHEN ({_FINISHED} OR {_CHANGED})"),
        _postgresql_trigger("runs", "DELETE", ""),
        *(
            f"CREATE TRIGGER keep_{table}_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION plumbline_keep()"
            for table in (*FIXED, "runs")
        ),
    ]


def _postgresql_trigger(table: str, actions: str, condition: str) -> str:
    name = actions.lower().replace(" ", "_")
    return (
        f"CREATE TRIGGER keep_{table}_{name} BEFORE {actions} ON {table}"
        f" FOR EACH ROW {condition} EXECUTE FUNCTION plumbline_keep()"
    )
