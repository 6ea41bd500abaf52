"""The ledger: an append-only table in which each row holds the hash of the row before it.

The hash of a row is SHA-256 of the previous hash and of the JSON array [seq, kind, subject, at,
content]. A change of a row, or a row that is missing, breaks the chain. Whoever can write the whole
table can also compute it anew: note the head of a chain elsewhere, and pass it to `verify`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, text

from replay.store.database.columns import encode
from replay.store.database.tables import LEDGER

START: Final = "0" * 64
"""Previous hash of the first row."""
_LOCK: Final = 0x6C656467
"""Key of the advisory lock of PostgreSQL; one transaction at a time appends."""


class Entry(msgspec.Struct, frozen=True):
    """A row of the ledger.

    kind: "run", "finish", "decision", "baseline", "set" and those of the gate. subject: id of the
    run, digest of the set. at: epoch seconds. content: JSON, as it was hashed.
    """

    seq: int
    kind: str
    subject: str
    at: float
    content: str
    previous: str
    hash: str

    @property
    def value(self) -> Any:
        """The content, decoded."""
        return msgspec.json.decode(self.content)


class Broken(msgspec.Struct, frozen=True):
    """The first row that contradicts the ledger: of `ledger` by `seq`, or of another table."""

    table: str
    row: str
    problem: str

    def __str__(self) -> str:
        return f"{self.table} {self.row}: {self.problem}"


class ChainStatus(msgspec.Struct, frozen=True):
    """Result of a verification. head: hash of the last row; broken: None if all is intact."""

    entries: int
    head: str
    broken: Broken | None = None


def append(connection: Connection, kind: str, subject: str, content: object, at: float) -> Entry:
    """Append a row to the ledger and return it. Call it last: others wait until the commit.

    content: anything that msgspec encodes as JSON.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    head = connection.execute(
        select(LEDGER.c.seq, LEDGER.c.hash).order_by(LEDGER.c.seq.desc()).limit(1)
    ).first()
    seq, previous = (1, START) if head is None else (head.seq + 1, head.hash)
    fields = (seq, kind, subject, float(at), encode(content))
    entry = Entry(*fields, previous, _hash(previous, fields))
    connection.execute(insert(LEDGER).values(msgspec.structs.asdict(entry)))
    return entry


def entries(connection: Connection, kind: str = "", subject: str = "") -> Iterator[Entry]:
    """Yield the rows in their order, optionally of one kind or subject."""
    query = select(LEDGER).order_by(LEDGER.c.seq)
    if kind:
        query = query.where(LEDGER.c.kind == kind)
    if subject:
        query = query.where(LEDGER.c.subject == subject)
    for row in connection.execute(query):
        yield Entry(**row._mapping)


def verify_chain(connection: Connection, head: str = "") -> ChainStatus:
    """Compute all hashes anew.

    head: a hash noted earlier, which must be one of the chain's.
    """
    previous, count, found = START, 0, not head
    for entry in entries(connection):
        fields = (entry.seq, entry.kind, entry.subject, entry.at, entry.content)
        problem = ""
        if entry.seq != count + 1:
            problem = f"row {count + 1} is missing"
        elif entry.previous != previous:
            problem = "its previous hash is not the hash of the row before it"
        elif entry.hash != _hash(previous, fields):
            problem = "its content does not match its hash"
        if problem:
            return ChainStatus(count, previous, Broken("ledger", str(entry.seq), problem))
        previous, count = entry.hash, count + 1
        found = found or entry.hash == head
    if not found:
        problem = "no row has the noted head: rows at the end are missing, or all were replaced"
        return ChainStatus(count, previous, Broken("ledger", str(count), problem))
    return ChainStatus(count, previous)


def _hash(previous: str, fields: tuple[int, str, str, float, str]) -> str:
    return hashlib.sha256(previous.encode() + encode(fields).encode()).hexdigest()
