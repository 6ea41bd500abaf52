"""The tables. `migrations` creates them; a test shows that both agree.

Times are epoch seconds. Texts of prompts and responses are in tables of their own, `item_texts` and
`responses`, so that they can be erased while scores, digests and the ledger remain.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from replay.store.database.columns import CleanText, Json

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _text(name: str) -> Column[str]:
    return Column(name, CleanText, nullable=False)


RUNS: Final = Table(
    "runs",
    METADATA,
    Column("id", CleanText, primary_key=True),
    _text("alarm"),
    _text("set_digest"),
    _text("model_digest"),
    _text("model"),
    _text("trigger"),
    Column("plan", Json, nullable=False),
    Column("details", Json, nullable=False),
    Column("gpu", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    _text("state"),
    Column("created_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("attempts", Integer, nullable=False),
    _text("worker"),
    Column("lease_until", Double),
    Column("cancel_at", Double),
    _text("verdict"),
    _text("reason"),
    _text("detail"),
    Column("done", Integer, nullable=False),
    Column("planned", Integer, nullable=False),
    _text("environment"),
    Column("gpu_seconds", Double, nullable=False),
    Column("cost_usd", Double, nullable=False),
    UniqueConstraint("alarm", "set_digest", "model_digest"),
    Index(None, "state", "not_before"),
    Index(None, "model", "created_at"),
)
"""One row a run: its request, its lease and how it ended. A finished row is final."""

SOURCE_OFFSETS: Final = Table(
    "source_offsets",
    METADATA,
    _text("consumer_group"),
    _text("topic"),
    Column("partition", Integer, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("consumer_group", "topic", "partition"),
)
"""The offset that a consumer reads next, committed together with the rows it caused."""

RUN_TASKS: Final = Table(
    "run_tasks",
    METADATA,
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    _text("task"),
    _text("metric"),
    Column("is_binary", Boolean, nullable=False),
    Column("higher_is_better", Boolean, nullable=False),
    _text("task_digest"),
    PrimaryKeyConstraint("run", "task"),
)

ITEM_RESULTS: Final = Table(
    "item_results",
    METADATA,
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    _text("task"),
    Column("doc_id", Integer, nullable=False),
    _text("filter"),
    _text("item"),
    _text("prompt_hash"),
    _text("target_hash"),
    Column("metrics", Json, nullable=False),
    _text("failed"),
    Column("slices", Json, nullable=False),
    _text("cluster"),
    PrimaryKeyConstraint("run", "task", "doc_id", "filter"),
)
"""The score of each answer. Rows are never changed."""

RESPONSES: Final = Table(
    "responses",
    METADATA,
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    _text("task"),
    Column("doc_id", Integer, nullable=False),
    _text("filter"),
    _text("response"),
    PrimaryKeyConstraint("run", "task", "doc_id", "filter"),
)
"""The texts of answers. They can be erased."""

TASK_SCORES: Final = Table(
    "task_scores",
    METADATA,
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    _text("task"),
    _text("filter"),
    _text("metric"),
    Column("n", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("mean", Double),
    Column("stderr", Double),
    PrimaryKeyConstraint("run", "task", "filter"),
)
"""Scores of finished runs by task and filter; NULL where there is none."""

ENVIRONMENTS: Final = Table(
    "environments",
    METADATA,
    Column("digest", CleanText, primary_key=True),
    Column("content", Json, nullable=False),
)
"""Versions, hashes of weights and hardware of runs, by digest."""

ITEM_SETS: Final = Table(
    "item_sets",
    METADATA,
    Column("digest", CleanText, primary_key=True),
    _text("name"),
    Column("version", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("hold_out", Json),
    UniqueConstraint("name", "version"),
)

SET_ITEMS: Final = Table(
    "set_items",
    METADATA,
    Column("set_digest", CleanText, ForeignKey("item_sets.digest"), nullable=False),
    _text("item"),
    Column("content", Json, nullable=False),
    PrimaryKeyConstraint("set_digest", "item"),
)
"""The items of a version: all but their texts."""

ITEM_TEXTS: Final = Table(
    "item_texts",
    METADATA,
    Column("item", CleanText, primary_key=True),
    Column("content", Json, nullable=False),
)
"""Prompt, target, choices and contexts of items, by id. They can be erased."""

BASELINES: Final = Table(
    "baselines",
    METADATA,
    Column("id", Integer, primary_key=True),
    _text("model"),
    _text("set_digest"),
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("model", "set_digest", "run"),
)
"""Which run is the baseline of a model on a set; the newest row counts."""

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("event_id", CleanText, nullable=False, unique=True),
    _text("key"),
    Column("payload", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("sent_at", Double),
)

LEDGER: Final = Table(
    "ledger",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("subject"),
    Column("at", Double, nullable=False),
    _text("content"),
    _text("previous"),
    _text("hash"),
    Index(None, "kind", "subject"),
)
"""The hash chain: runs, how they ended, decisions, baselines, sets. Rows are never changed."""

GPU_SLOTS: Final = Table(
    "gpu_slots",
    METADATA,
    _text("host"),
    Column("slot", Integer, nullable=False),
    _text("run"),
    _text("worker"),
    Column("lease_until", Double, nullable=False),
    PrimaryKeyConstraint("host", "slot"),
)

GPU_USAGE: Final = Table(
    "gpu_usage",
    METADATA,
    _text("day"),
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    Column("seconds", Double, nullable=False),
    PrimaryKeyConstraint("day", "run"),
)
"""Seconds of GPUs by day (UTC, YYYY-MM-DD) and run."""
