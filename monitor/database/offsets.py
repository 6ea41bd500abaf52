"""Offsets of a consumer, stored in the transaction of the rows that its messages caused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    and_,
    select,
    update,
)

from monitor.database.columns import text_column
from monitor.database.inserting import insert_new

_KEY: Final = ("consumer_group", "topic", "partition")


def offsets_table(name: str, metadata: MetaData) -> Table:
    """Return a table of the offsets that consumers read next."""
    return Table(
        name,
        metadata,
        text_column("consumer_group"),
        text_column("topic"),
        Column("partition", Integer, nullable=False),
        Column("next_offset", BigInteger, nullable=False),
        PrimaryKeyConstraint(*_KEY),
    )


def save_offsets(
    connection: Connection, table: Table, group: str, offsets: Mapping[tuple[str, int], int]
) -> None:
    """Store the offsets that a consumer reads next, by topic and partition. They never decrease."""
    for (topic, partition), offset in sorted(offsets.items()):
        key = dict(zip(_KEY, (group, topic, partition), strict=True))
        if insert_new(connection, table, [{**key, "next_offset": offset}]):
            continue
        same = and_(*(table.c[name] == value for name, value in key.items()))
        statement = update(table).where(same, table.c.next_offset < offset)
        connection.execute(statement.values(next_offset=offset))


def load_offsets(connection: Connection, table: Table, group: str) -> dict[tuple[str, int], int]:
    """Return the stored offsets of a consumer group by topic and partition."""
    query = select(table).where(table.c.consumer_group == group)
    return {(row.topic, row.partition): row.next_offset for row in connection.execute(query)}
