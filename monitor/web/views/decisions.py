"""Decisions about models and experiments, and the audit trail."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, insert, select

from monitor.database.chain import Broken, ChainStatus, Entry
from monitor.web.review.model import NotFound
from monitor.web.store.tables import AUDIT, DECISIONS, PEOPLE, VERDICTS

Outcome = Literal["ship", "hold", "roll_back"]
MAX_AUDIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class NewDecision:
    """A decision to be recorded.

    subject: what it is about, such as "model/llama" or "experiment/new-prompt". criteria: what had
    to hold. evidence: what was seen, such as effects, verdicts of replays, and links.
    """

    subject: str
    outcome: Outcome
    reason: str
    criteria: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision. person: id of who decided; name: how the person is shown. at: epoch seconds."""

    id: str
    subject: str
    outcome: Outcome
    reason: str
    criteria: tuple[str, ...]
    evidence: tuple[str, ...]
    person: str
    name: str
    at: float


def decide(connection: Connection, new: NewDecision, person: str, at: float) -> Decision:
    """Record a decision, with a row in the audit trail."""
    identity = secrets.token_hex(12)
    content = {
        "subject": new.subject,
        "outcome": new.outcome,
        "reason": new.reason,
        "criteria": list(new.criteria),
        "evidence": list(new.evidence),
        "person": person,
    }
    row = {"id": identity, "created_at": at, **content}
    connection.execute(insert(DECISIONS).values(row))
    AUDIT.append(connection, "decision", identity, content, at)
    return find(connection, identity)


def find(connection: Connection, identity: str) -> Decision:
    """Return a decision. Raises NotFound."""
    found = _select(connection, DECISIONS.c.id == identity, 1)
    if not found:
        raise NotFound("there is no such decision")
    return found[0]


def listed(connection: Connection, subject: str | None = None, limit: int = 100) -> list[Decision]:
    """Return the newest decisions, newest first, optionally about one subject."""
    condition = None if subject is None else DECISIONS.c.subject == subject
    return _select(connection, condition, limit)


def _select(connection: Connection, condition: Any, limit: int) -> list[Decision]:
    query = select(DECISIONS, PEOPLE.c.name).join(PEOPLE, PEOPLE.c.id == DECISIONS.c.person)
    if condition is not None:
        query = query.where(condition)
    rows = connection.execute(
        query.order_by(DECISIONS.c.created_at.desc(), DECISIONS.c.id).limit(limit)
    )
    return [
        Decision(
            id=row.id,
            subject=row.subject,
            outcome=row.outcome,
            reason=row.reason,
            criteria=tuple(row.criteria),
            evidence=tuple(row.evidence),
            person=row.person,
            name=row.name,
            at=row.created_at,
        )
        for row in rows
    ]


def audit_entries(
    connection: Connection, before: int | None = None, limit: int = 100
) -> list[Entry]:
    """Return rows of the audit trail, newest first. before: smaller numbers only."""
    rows = AUDIT.table
    query = select(rows).order_by(rows.c.seq.desc()).limit(min(limit, MAX_AUDIT))
    if before is not None:
        query = query.where(rows.c.seq < before)
    return [Entry(**row._mapping) for row in connection.execute(query)]


def verify(connection: Connection, head: str = "") -> ChainStatus:
    """Verify the audit trail, then decisions and verdicts. head: a hash noted earlier."""
    status = AUDIT.verify(connection, head)
    if status.broken is not None:
        return status
    broken = _wrong_decision(connection) or _wrong_verdict(connection)
    return ChainStatus(status.entries, status.head, broken)


def _wrong_decision(connection: Connection) -> Broken | None:
    chained = {entry.subject: entry for entry in AUDIT.entries(connection, "decision")}
    stored = {row.id: row for row in connection.execute(select(DECISIONS))}
    for identity in sorted(chained.keys() ^ stored.keys()):
        return Broken("web_decisions", identity, "is not both in the table and in the audit trail")
    for identity, entry in chained.items():
        row = stored[identity]
        content = {name: getattr(row, name) for name in entry.value}
        if content != entry.value or row.created_at != entry.at:
            return Broken("web_decisions", identity, "differs from the audit trail")
    return None


def _wrong_verdict(connection: Connection) -> Broken | None:
    chained = sorted(
        _verdict_key(entry.subject, entry.value["person"], entry.value["content"], entry.at)
        for entry in AUDIT.entries(connection, "verdict")
    )
    stored = sorted(
        _verdict_key(row.item, row.person, row.content, row.created_at)
        for row in connection.execute(select(VERDICTS))
    )
    for mine, theirs in zip(chained, stored, strict=False):
        if mine != theirs:
            return Broken("web_verdicts", min(mine, theirs)[:32], "differs from the audit trail")
    if len(chained) != len(stored):
        return Broken("web_verdicts", "", "a verdict is missing, or has no row in the audit trail")
    return None


def _verdict_key(item: str, person: str, content: Any, at: float) -> str:
    return item + msgspec.json.encode([person, content, at], order="sorted").decode()
