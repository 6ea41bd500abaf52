"""What is between messages and their records, apart from the format."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.ingest.decode.framing.duplicates import DuplicateFilter
from monitor.ingest.decode.framing.parts import PartJoiner
from monitor.ingest.decode.framing.schemas import OpenSchema, no_registry


@dataclass(frozen=True, slots=True)
class Framing:
    """How schemas, calls in several messages, and repeated records are handled.

    parts: joins calls whose parts are in several messages.
    duplicates: finds records that repeat a request id; None: they are not counted. drop: whether
    these records are dropped.
    open_schema: returns the content of messages that refer to a schema in a registry.
    """

    parts: PartJoiner = field(default_factory=PartJoiner)
    duplicates: DuplicateFilter | None = None
    drop: bool = False
    open_schema: OpenSchema = no_registry

    def commit(self) -> None:
        """Make everything permanent that was decoded so far."""
        self.parts.commit()
        if self.duplicates is not None:
            self.duplicates.commit()

    def roll_back(self) -> None:
        """Undo everything since the last commit: its messages are decoded again."""
        self.parts.roll_back()
        if self.duplicates is not None:
            self.duplicates.roll_back()
