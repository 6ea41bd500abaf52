"""Hash chains: append-only tables in which each row holds the hash of the row before it.

The hash of a row is SHA-256 of the previous hash and of the JSON array [seq, kind, subject, at,
content]. A change of a row, or a row that is missing, breaks the chain. Whoever can write the whole
table can also compute it anew: note the head of a chain elsewhere, and pass it to `verify`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    insert,
    select,
    text,
)

from monitor.database.columns import CleanText, encode

START: Final = "0" * 64
"""Previous hash of the first row."""


class Entry(msgspec.Struct, frozen=True):
    """A row of a chain.

    kind: what happened. subject: id of what it happened to. at: epoch seconds. content: JSON, as it
    was hashed.
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
    """The first row that contradicts a chain: of the chain by `seq`, or of another table."""

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


def chain_table(name: str, metadata: MetaData) -> Table:
    """Return the table of a chain."""
    return Table(
        name,
        metadata,
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("kind", CleanText, nullable=False),
        Column("subject", CleanText, nullable=False),
        Column("at", Double, nullable=False),
        Column("content", CleanText, nullable=False),
        Column("previous", CleanText, nullable=False),
        Column("hash", CleanText, nullable=False),
        Index(None, "kind", "subject"),
    )


class Chain:
    """A chain in a table.

    lock: key of the advisory lock of PostgreSQL; one transaction at a time appends.
    """

    def __init__(self, table: Table, lock: int) -> None:
        self.table = table
        self._lock = lock

    def append(
        self, connection: Connection, kind: str, subject: str, content: object, at: float
    ) -> Entry:
        """Append a row and return it. Call it last: others wait until the commit.

        content: anything that msgspec encodes as JSON.
        """
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self._lock})
        rows = self.table.c
        newest = select(rows.seq, rows.hash).order_by(rows.seq.desc()).limit(1)
        head = connection.execute(newest).first()
        seq, previous = (1, START) if head is None else (head.seq + 1, head.hash)
        fields = (seq, kind, subject, float(at), encode(content))
        entry = Entry(*fields, previous, _hash(previous, fields))
        connection.execute(insert(self.table).values(msgspec.structs.asdict(entry)))
        return entry

    def entries(self, connection: Connection, kind: str = "", subject: str = "") -> Iterator[Entry]:
        """Yield the rows in their order, optionally of one kind or subject."""
        query = select(self.table).order_by(self.table.c.seq)
        if kind:
            query = query.where(self.table.c.kind == kind)
        if subject:
            query = query.where(self.table.c.subject == subject)
        for row in connection.execute(query):
            yield Entry(**row._mapping)

    def verify(self, connection: Connection, head: str = "") -> ChainStatus:
        """Compute all hashes anew.

        head: a hash noted earlier, which must be one of the chain's.
        """
        previous, count, found = START, 0, not head
        for entry in self.entries(connection):
            fields = (entry.seq, entry.kind, entry.subject, entry.at, entry.content)
            problem = ""
            if entry.seq != count + 1:
                problem = f"row {count + 1} is missing"
            elif entry.previous != previous:
                problem = "its previous hash is not the hash of the row before it"
            elif entry.hash != _hash(previous, fields):
                problem = "its content does not match its hash"
            if problem:
                return ChainStatus(count, previous, self._broken(entry.seq, problem))
            previous, count = entry.hash, count + 1
            found = found or entry.hash == head
        if not found:
            problem = "no row has the noted head: rows at the end are missing, or all were replaced"
            return ChainStatus(count, previous, self._broken(count, problem))
        return ChainStatus(count, previous)

    def _broken(self, seq: int, problem: str) -> Broken:
        return Broken(self.table.name, str(seq), problem)


def _hash(previous: str, fields: tuple[int, str, str, float, str]) -> str:
    return hashlib.sha256(previous.encode() + encode(fields).encode()).hexdigest()
