"""The first schema of the web application."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from monitor.web.store.migrations.triggers import keep_rows

revision = "web0001"
down_revision = None

_FIXED = ("web_audit", "web_rubrics", "web_guidelines", "web_verdicts", "web_decisions")


def upgrade() -> None:
    """Create all tables, and the triggers that keep what was recorded as it is."""
    _people()
    _queues()
    _items()
    _answers()
    _records()
    keep_rows(op.get_bind(), _FIXED, "web_audit")


def _text(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=nullable) for name in names]


def _numbers(*names: str, nullable: bool = False) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double, nullable=nullable) for name in names]


def _counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]


def _row_id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, nullable=False)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{columns[0]}")


def _of(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{columns[0]}", table, list(columns))


def _people() -> None:
    op.create_table(
        "web_people",
        *_text("id", "issuer", "subject", "name", "role"),
        *_numbers("created_at"),
        *_numbers("disabled_at", nullable=True),
        _key("web_people", "id"),
        _unique("web_people", "issuer", "subject"),
    )
    op.create_table(
        "web_tokens",
        *_text("id", "person", "name", "hash", "scope"),
        *_numbers("created_at", "expires_at"),
        *_numbers("revoked_at", nullable=True),
        _of("web_tokens", "person", "web_people.id"),
        _key("web_tokens", "id"),
        _unique("web_tokens", "hash"),
    )


def _queues() -> None:
    op.create_table(
        "web_rubrics",
        *_text("digest", "name", "content"),
        *_counts("version"),
        *_numbers("created_at"),
        _key("web_rubrics", "digest"),
    )
    op.create_table(
        "web_queues",
        *_text("name", "task", "rubric", "source", "state", "salt", "inflow"),
        *_counts("overlap"),
        *_numbers("lease_seconds", "base", "boost", "gold_share", "contested_from"),
        *_numbers("retention_days", "created_at", "updated_at"),
        _of("web_queues", "rubric", "web_rubrics.digest"),
        _key("web_queues", "name"),
    )
    op.create_table(
        "web_guidelines",
        *_text("queue", "text", "person"),
        *_counts("version"),
        *_numbers("created_at"),
        _of("web_guidelines", "queue", "web_queues.name"),
        _key("web_guidelines", "queue", "version"),
    )


def _items() -> None:
    op.create_table(
        "web_items",
        *_text("id", "queue", "state", "reason", "request_id", "model"),
        *_numbers("time", "difficulty", "u", "xi", "probability", "ready_at", "created_at"),
        *_numbers("pi", "finished_at", nullable=True),
        sa.Column("uniform", sa.Boolean, nullable=False),
        *_counts("slots", "skips"),
        *_text("judge", "gold", "label", nullable=True),
        _of("web_items", "queue", "web_queues.name"),
        _key("web_items", "id"),
    )
    _index("web_items", "queue", "state", "created_at")
    _index("web_items", "request_id")
    free = sa.text("slots > 0")
    op.create_index(
        "ix_web_items_open",
        "web_items",
        ["queue", "xi"],
        sqlite_where=free,
        postgresql_where=free,
    )
    op.create_table(
        "web_candidates",
        *_text("item", "request_id", "model", "variant", "user_hash"),
        *_counts("position"),
        _of("web_candidates", "item", "web_items.id"),
        _key("web_candidates", "item", "position"),
    )
    _index("web_candidates", "request_id")
    _index("web_candidates", "user_hash")
    op.create_table(
        "web_texts",
        *_text("item", "content"),
        *_numbers("erase_after"),
        _of("web_texts", "item", "web_items.id"),
        _key("web_texts", "item"),
    )
    _index("web_texts", "erase_after")


def _answers() -> None:
    op.create_table(
        "web_assignments",
        *_text("id", "queue", "item", "person", "state", "order", "skip_reason"),
        *_counts("guideline"),
        *_numbers("leased_at", "lease_until"),
        *_numbers("ended_at", nullable=True),
        sa.Column("active_ms", sa.BigInteger, nullable=False),
        _of("web_assignments", "item", "web_items.id"),
        _of("web_assignments", "person", "web_people.id"),
        _key("web_assignments", "id"),
        _unique("web_assignments", "item", "person"),
    )
    _index("web_assignments", "state", "lease_until")
    _index("web_assignments", "person", "queue", "state")
    op.create_table(
        "web_annotations",
        _row_id(),
        *_text("assignment", "content", "comment"),
        *_numbers("created_at"),
        *_numbers("overall", "gold_score", "withdrawn_at", nullable=True),
        _of("web_annotations", "assignment", "web_assignments.id"),
        _key("web_annotations", "id"),
    )
    _index("web_annotations", "assignment")
    valid = sa.text("withdrawn_at IS NULL")
    op.create_index(
        "uq_web_annotations_valid",
        "web_annotations",
        ["assignment"],
        unique=True,
        sqlite_where=valid,
        postgresql_where=valid,
    )
    op.create_table(
        "web_spans",
        *_counts("annotation", "number", "candidate", "first", "end"),
        *_text("kind", "severity"),
        _of("web_spans", "annotation", "web_annotations.id"),
        _key("web_spans", "annotation", "number"),
    )


def _records() -> None:
    op.create_table(
        "web_verdicts",
        _row_id(),
        *_text("item", "person", "content", "reason"),
        *_numbers("overall", nullable=True),
        *_numbers("created_at"),
        _of("web_verdicts", "item", "web_items.id"),
        _of("web_verdicts", "person", "web_people.id"),
        _key("web_verdicts", "id"),
    )
    _index("web_verdicts", "item")
    op.create_table(
        "web_decisions",
        *_text("id", "subject", "outcome", "reason", "criteria", "evidence", "person"),
        *_numbers("created_at"),
        _of("web_decisions", "person", "web_people.id"),
        _key("web_decisions", "id"),
    )
    _index("web_decisions", "subject", "created_at")
    op.create_table(
        "web_audit",
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=False),
        *_text("kind", "subject", "content", "previous", "hash"),
        *_numbers("at"),
        _key("web_audit", "seq"),
    )
    _index("web_audit", "kind", "subject")
    op.create_table(
        "web_offsets",
        *_text("consumer_group", "topic"),
        *_counts("partition"),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        _key("web_offsets", "consumer_group", "topic", "partition"),
    )
    op.create_table(
        "web_outbox",
        _row_id(),
        *_text("event_id", "item"),
        *_numbers("not_before", "created_at"),
        *_numbers("sent_at", nullable=True),
        _of("web_outbox", "item", "web_items.id"),
        _key("web_outbox", "id"),
        _unique("web_outbox", "event_id"),
    )
    _index("web_outbox", "sent_at", "not_before")
