"""The tables. `migrations` creates them; a test shows that both agree.

Times are epoch seconds. Texts of prompts and responses are in `web_texts` only, so that they can be
erased while ratings, statistics and the audit trail remain.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from monitor.database.chain import Chain, chain_table
from monitor.database.columns import NAMING, CleanText, Json, text_column
from monitor.database.offsets import offsets_table

METADATA: Final = MetaData(naming_convention=NAMING)


def _id() -> Column[str]:
    return Column("id", CleanText, primary_key=True)


def _time(name: str, *, nullable: bool = False) -> Column[float]:
    return Column(name, Double, nullable=nullable)


def _number(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _json(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Json, nullable=nullable)


def _of(name: str, target: str) -> Column[str]:
    return Column(name, CleanText, ForeignKey(target), nullable=False)


PEOPLE: Final = Table(
    "web_people",
    METADATA,
    _id(),
    text_column("issuer"),
    text_column("subject"),
    text_column("name"),
    text_column("role"),
    _time("created_at"),
    _time("disabled_at", nullable=True),
    UniqueConstraint("issuer", "subject"),
)
"""Who may sign in. subject: the stable id of the issuer; people are never joined by name."""

TOKENS: Final = Table(
    "web_tokens",
    METADATA,
    _id(),
    _of("person", "web_people.id"),
    text_column("name"),
    Column("hash", CleanText, nullable=False, unique=True),
    text_column("scope"),
    _time("created_at"),
    _time("expires_at"),
    _time("revoked_at", nullable=True),
)
"""Bearer tokens: SHA-256 of 32 random bytes, and the highest role that they give."""

RUBRICS: Final = Table(
    "web_rubrics",
    METADATA,
    Column("digest", CleanText, primary_key=True),
    text_column("name"),
    _number("version"),
    _json("content"),
    _time("created_at"),
)
"""Versions of rubrics. Rows are never changed."""

QUEUES: Final = Table(
    "web_queues",
    METADATA,
    Column("name", CleanText, primary_key=True),
    text_column("task"),
    _of("rubric", "web_rubrics.digest"),
    text_column("source"),
    text_column("state"),
    _number("overlap"),
    Column("lease_seconds", Double, nullable=False),
    Column("base", Double, nullable=False),
    Column("boost", Double, nullable=False),
    text_column("salt"),
    Column("gold_share", Double, nullable=False),
    Column("contested_from", Double, nullable=False),
    Column("retention_days", Double, nullable=False),
    _json("inflow"),
    _time("created_at"),
    _time("updated_at"),
)
"""One row a review queue. salt: of the hash that orders its items; it never changes."""

GUIDELINES: Final = Table(
    "web_guidelines",
    METADATA,
    _of("queue", "web_queues.name"),
    _number("version"),
    text_column("text"),
    text_column("person"),
    _time("created_at"),
    PrimaryKeyConstraint("queue", "version"),
)
"""Instructions to annotators by version. Rows are never changed."""

ITEMS: Final = Table(
    "web_items",
    METADATA,
    _id(),
    _of("queue", "web_queues.name"),
    text_column("state"),
    text_column("reason"),
    text_column("request_id"),
    text_column("model"),
    _time("time"),
    Column("difficulty", Double, nullable=False),
    Column("pi", Double),
    Column("u", Double, nullable=False),
    Column("xi", Double, nullable=False),
    Column("uniform", Boolean, nullable=False),
    Column("probability", Double, nullable=False),
    _number("slots"),
    _number("skips"),
    _json("judge", nullable=True),
    _json("gold", nullable=True),
    _json("label", nullable=True),
    _time("ready_at"),
    _time("created_at"),
    _time("finished_at", nullable=True),
    Index(None, "queue", "state", "created_at"),
    Index(None, "request_id"),
)
"""What annotators rate. slots: assignments that can still be given out. xi: the priority."""
Index(
    "ix_web_items_open",
    ITEMS.c.queue,
    ITEMS.c.xi,
    sqlite_where=ITEMS.c.slots > 0,
    postgresql_where=ITEMS.c.slots > 0,
)

CANDIDATES: Final = Table(
    "web_candidates",
    METADATA,
    _of("item", "web_items.id"),
    _number("position"),
    text_column("request_id"),
    text_column("model"),
    text_column("variant"),
    text_column("user_hash"),
    PrimaryKeyConstraint("item", "position"),
    Index(None, "request_id"),
    Index(None, "user_hash"),
)
"""The responses of an item, without their texts. user_hash: "" if unknown or erased."""

TEXTS: Final = Table(
    "web_texts",
    METADATA,
    Column("item", CleanText, ForeignKey("web_items.id"), primary_key=True),
    _json("content"),
    _time("erase_after"),
    Index(None, "erase_after"),
)
"""Prompt, contexts, reference and responses of items. They can be erased."""

ASSIGNMENTS: Final = Table(
    "web_assignments",
    METADATA,
    _id(),
    text_column("queue"),
    _of("item", "web_items.id"),
    _of("person", "web_people.id"),
    text_column("state"),
    _json("order"),
    _number("guideline"),
    _time("leased_at"),
    _time("lease_until"),
    _time("ended_at", nullable=True),
    Column("active_ms", BigInteger, nullable=False),
    text_column("skip_reason"),
    UniqueConstraint("item", "person"),
    Index(None, "state", "lease_until"),
    Index(None, "person", "queue", "state"),
)
"""Who rates which item. order: positions of the candidates, as they are shown."""

ANNOTATIONS: Final = Table(
    "web_annotations",
    METADATA,
    Column("id", Integer, primary_key=True),
    _of("assignment", "web_assignments.id"),
    _json("content"),
    Column("overall", Double),
    text_column("comment"),
    Column("gold_score", Double),
    _time("created_at"),
    _time("withdrawn_at", nullable=True),
    Index(None, "assignment"),
)
"""Answers of annotators; one that was undone keeps the time."""
Index(
    "uq_web_annotations_valid",
    ANNOTATIONS.c.assignment,
    unique=True,
    sqlite_where=ANNOTATIONS.c.withdrawn_at.is_(None),
    postgresql_where=ANNOTATIONS.c.withdrawn_at.is_(None),
)

SPANS: Final = Table(
    "web_spans",
    METADATA,
    Column("annotation", Integer, ForeignKey("web_annotations.id"), nullable=False),
    _number("number"),
    _number("candidate"),
    _number("first"),
    _number("end"),
    text_column("kind"),
    text_column("severity"),
    PrimaryKeyConstraint("annotation", "number"),
)
"""Marked errors: characters `first` to `end` (exclusive) of a response, as code points."""

VERDICTS: Final = Table(
    "web_verdicts",
    METADATA,
    Column("id", Integer, primary_key=True),
    _of("item", "web_items.id"),
    _of("person", "web_people.id"),
    _json("content"),
    Column("overall", Double),
    text_column("reason"),
    _time("created_at"),
    Index(None, "item"),
)
"""Adjudications; the newest counts. Rows are never changed."""

DECISIONS: Final = Table(
    "web_decisions",
    METADATA,
    _id(),
    text_column("subject"),
    text_column("outcome"),
    text_column("reason"),
    _json("criteria"),
    _json("evidence"),
    _of("person", "web_people.id"),
    _time("created_at"),
    Index(None, "subject", "created_at"),
)
"""Ship, hold or roll back: with criteria, evidence, who and when. Rows are never changed."""

AUDIT: Final = Chain(chain_table("web_audit", METADATA), 0x77656261)
"""The hash chain of everything that changes rights, queues, texts, verdicts and decisions."""

OFFSETS: Final = offsets_table("web_offsets", METADATA)
"""The offset that the role reads next, committed together with the items it caused."""

OUTBOX: Final = Table(
    "web_outbox",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("event_id", CleanText, nullable=False, unique=True),
    _of("item", "web_items.id"),
    _time("not_before"),
    _time("created_at"),
    _time("sent_at", nullable=True),
    Index(None, "sent_at", "not_before"),
)
"""Items whose label is sent to the evaluations topic. not_before: until then it can be undone."""

FIXED: Final = ("web_audit", "web_rubrics", "web_guidelines", "web_verdicts", "web_decisions")
"""Tables whose rows are never changed or deleted."""
