"""Scores and costs of judges, and alarms that wait for the end of a cooldown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "judge_scores",
        *_texts("key", "run", "unscored"),
        sa.Column("score", sa.Double, nullable=True),
        sa.Column("nanodollars", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_judge_scores_run"),
        sa.PrimaryKeyConstraint("key", name="pk_judge_scores"),
    )
    op.create_table(
        "judge_spending",
        *_texts("period"),
        sa.Column("nanodollars", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("period", name="pk_judge_spending"),
    )
    op.create_table(
        "waiting_alarms",
        *_texts("alarm", "model"),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("alarm", name="pk_waiting_alarms"),
    )
    op.create_index("ix_waiting_alarms_model", "waiting_alarms", ["model", "created_at"])


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
