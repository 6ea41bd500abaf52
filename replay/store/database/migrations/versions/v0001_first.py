"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from replay.store.database.migrations.triggers import create_triggers

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables, and the triggers that keep what was recorded as it is."""
    _runs()
    _results()
    _sets()
    _ledger()
    _gpus()
    create_triggers(op.get_bind())


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _numbers(*names: str, nullable: bool = False) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double, nullable=nullable) for name in names]


def _counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]


def _flags(*names: str) -> list[sa.Column[bool]]:
    return [sa.Column(name, sa.Boolean, nullable=False) for name in names]


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{columns[0]}")


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run"], ["runs.id"], name=f"fk_{table}_run")


def _runs() -> None:
    op.create_table(
        "runs",
        *_text("id", "alarm", "set_digest", "model_digest", "model", "trigger", "plan", "details"),
        *_flags("gpu"),
        *_counts("priority", "attempts", "done", "planned"),
        *_text("state", "worker", "verdict", "reason", "detail", "environment"),
        *_numbers("created_at", "not_before", "gpu_seconds", "cost_usd"),
        *_numbers("started_at", "finished_at", "lease_until", "cancel_at", nullable=True),
        _key("runs", "id"),
        _unique("runs", "alarm", "set_digest", "model_digest"),
    )
    op.create_index("ix_runs_state", "runs", ["state", "not_before"])
    op.create_index("ix_runs_model", "runs", ["model", "created_at"])
    op.create_table(
        "source_offsets",
        *_text("consumer_group", "topic"),
        *_counts("partition"),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        _key("source_offsets", "consumer_group", "topic", "partition"),
    )
    op.create_table("environments", *_text("digest", "content"), _key("environments", "digest"))


def _results() -> None:
    op.create_table(
        "run_tasks",
        *_text("run", "task", "metric", "task_digest"),
        *_flags("is_binary", "higher_is_better"),
        _of_run("run_tasks"),
        _key("run_tasks", "run", "task"),
    )
    op.create_table(
        "item_results",
        *_text("run", "task", "filter", "item", "prompt_hash", "target_hash", "metrics"),
        *_text("failed", "slices", "cluster"),
        *_counts("doc_id"),
        _of_run("item_results"),
        _key("item_results", "run", "task", "doc_id", "filter"),
    )
    op.create_table(
        "responses",
        *_text("run", "task", "filter", "response"),
        *_counts("doc_id"),
        _of_run("responses"),
        _key("responses", "run", "task", "doc_id", "filter"),
    )
    op.create_table(
        "task_scores",
        *_text("run", "task", "filter", "metric"),
        *_counts("n", "failed"),
        *_numbers("mean", "stderr", nullable=True),
        _of_run("task_scores"),
        _key("task_scores", "run", "task", "filter"),
    )
    op.create_table(
        "baselines",
        sa.Column("id", sa.Integer, nullable=False),
        *_text("model", "set_digest", "run"),
        *_numbers("created_at"),
        _of_run("baselines"),
        _key("baselines", "id"),
        _unique("baselines", "model", "set_digest", "run"),
    )


def _sets() -> None:
    op.create_table(
        "item_sets",
        *_text("digest", "name"),
        *_counts("version"),
        *_numbers("created"),
        sa.Column("hold_out", sa.Text, nullable=True),
        _key("item_sets", "digest"),
        _unique("item_sets", "name", "version"),
    )
    op.create_table(
        "set_items",
        *_text("set_digest", "item", "content"),
        sa.ForeignKeyConstraint(
            ["set_digest"], ["item_sets.digest"], name="fk_set_items_set_digest"
        ),
        _key("set_items", "set_digest", "item"),
    )
    op.create_table("item_texts", *_text("item", "content"), _key("item_texts", "item"))


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=False),
        *_text("kind", "subject", "content", "previous", "hash"),
        *_numbers("at"),
        _key("ledger", "seq"),
    )
    op.create_index("ix_ledger_kind", "ledger", ["kind", "subject"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, nullable=False),
        *_text("event_id", "key"),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        *_numbers("created_at"),
        *_numbers("sent_at", nullable=True),
        _key("outbox", "id"),
        _unique("outbox", "event_id"),
    )


def _gpus() -> None:
    op.create_table(
        "gpu_slots",
        *_text("host", "run", "worker"),
        *_counts("slot"),
        *_numbers("lease_until"),
        _key("gpu_slots", "host", "slot"),
    )
    op.create_table(
        "gpu_usage",
        *_text("day", "run"),
        *_numbers("seconds"),
        _of_run("gpu_usage"),
        _key("gpu_usage", "day", "run"),
    )
