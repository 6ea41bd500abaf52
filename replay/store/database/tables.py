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

from monitor.database.chain import chain_table
from monitor.database.columns import NAMING, CleanText, Json, text_column
from monitor.database.offsets import offsets_table

METADATA: Final = MetaData(naming_convention=NAMING)

RUNS: Final = Table(
    "runs",
    METADATA,
    Column("id", CleanText, primary_key=True),
    text_column("alarm"),
    text_column("set_digest"),
    text_column("model_digest"),
    text_column("model"),
    text_column("trigger"),
    Column("plan", Json, nullable=False),
    Column("details", Json, nullable=False),
    Column("gpu", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    text_column("state"),
    Column("created_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("attempts", Integer, nullable=False),
    text_column("worker"),
    Column("lease_until", Double),
    Column("cancel_at", Double),
    text_column("verdict"),
    text_column("reason"),
    text_column("detail"),
    Column("done", Integer, nullable=False),
    Column("planned", Integer, nullable=False),
    text_column("environment"),
    Column("gpu_seconds", Double, nullable=False),
    Column("cost_usd", Double, nullable=False),
    UniqueConstraint("alarm", "set_digest", "model_digest"),
    Index(None, "state", "not_before"),
    Index(None, "model", "created_at"),
)
"""One row a run: its request, its lease and how it ended. A finished row is final."""

SOURCE_OFFSETS: Final = offsets_table("source_offsets", METADATA)
"""The offset that a consumer reads next, committed together with the rows it caused."""

RUN_TASKS: Final = Table(
    "run_tasks",
    METADATA,
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    text_column("task"),
    text_column("metric"),
    Column("is_binary", Boolean, nullable=False),
    Column("higher_is_better", Boolean, nullable=False),
    text_column("task_digest"),
    PrimaryKeyConstraint("run", "task"),
)

ITEM_RESULTS: Final = Table(
    "item_results",
    METADATA,
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    text_column("task"),
    Column("doc_id", Integer, nullable=False),
    text_column("filter"),
    text_column("item"),
    text_column("prompt_hash"),
    text_column("target_hash"),
    Column("metrics", Json, nullable=False),
    text_column("failed"),
    Column("slices", Json, nullable=False),
    text_column("cluster"),
    PrimaryKeyConstraint("run", "task", "doc_id", "filter"),
)
"""The score of each answer. Rows are never changed."""

RESPONSES: Final = Table(
    "responses",
    METADATA,
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    text_column("task"),
    Column("doc_id", Integer, nullable=False),
    text_column("filter"),
    text_column("response"),
    PrimaryKeyConstraint("run", "task", "doc_id", "filter"),
)
"""The texts of answers. They can be erased."""

TASK_SCORES: Final = Table(
    "task_scores",
    METADATA,
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    text_column("task"),
    text_column("filter"),
    text_column("metric"),
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
    text_column("name"),
    Column("version", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("hold_out", Json),
    UniqueConstraint("name", "version"),
)

SET_ITEMS: Final = Table(
    "set_items",
    METADATA,
    Column("set_digest", CleanText, ForeignKey("item_sets.digest"), nullable=False),
    text_column("item"),
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
    text_column("model"),
    text_column("set_digest"),
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
    text_column("key"),
    Column("payload", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("sent_at", Double),
)

LEDGER: Final = chain_table("ledger", METADATA)
"""The hash chain: runs, how they ended, decisions, baselines, sets. Rows are never changed."""

GPU_SLOTS: Final = Table(
    "gpu_slots",
    METADATA,
    text_column("host"),
    Column("slot", Integer, nullable=False),
    text_column("run"),
    text_column("worker"),
    Column("lease_until", Double, nullable=False),
    PrimaryKeyConstraint("host", "slot"),
)

GPU_USAGE: Final = Table(
    "gpu_usage",
    METADATA,
    text_column("day"),
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    Column("seconds", Double, nullable=False),
    PrimaryKeyConstraint("day", "run"),
)
"""Seconds of GPUs by day (UTC, YYYY-MM-DD) and run."""

JUDGE_SCORES: Final = Table(
    "judge_scores",
    METADATA,
    Column("key", CleanText, primary_key=True),
    Column("run", CleanText, ForeignKey("runs.id"), nullable=False),
    Column("score", Double),
    text_column("unscored"),
    Column("nanodollars", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
)
"""What judges have scored, by a hash of the judge, the item and the answer; run: that paid for it.
Either there is a score, or `unscored` says why not."""

JUDGE_SPENDING: Final = Table(
    "judge_spending",
    METADATA,
    Column("period", CleanText, primary_key=True),
    Column("nanodollars", BigInteger, nullable=False),
)
"""Money that judges have cost, or that is reserved for calls, by day and month (UTC)."""

WAITING_ALARMS: Final = Table(
    "waiting_alarms",
    METADATA,
    Column("alarm", CleanText, primary_key=True),
    text_column("model"),
    Column("event", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "model", "created_at"),
)
"""Open alarms that started no run because of the cooldown of their model."""
