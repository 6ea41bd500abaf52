"""A drift monitor as the messages of a checkpoint, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor import state, watch_state
from monitor.config import Config
from monitor.drift import DriftMonitor, References
from monitor.gathering import Gathering
from monitor.segments import WHOLE
from monitor.state import Checkpointer, Messages


@dataclass(slots=True)
class Partition:
    """One feature partition at work.

    offset: of the chunk that it needs next. saved: the offset that its last checkpoint has.
    gathering: chunks before that offset that the monitor has not seen yet.
    """

    monitor: DriftMonitor
    offset: int
    saved: int | None = None
    checkpointer: Checkpointer = field(default_factory=Checkpointer)
    gathering: Gathering = field(default_factory=Gathering)

    @property
    def changed(self) -> bool:
        """Whether there is anything that the last checkpoint does not have."""
        return self.offset != self.saved

    def written(self) -> None:
        """The messages that were asked for last are durable."""
        self.saved = self.offset
        self.checkpointer.written()

    def messages(self) -> Messages:
        """The messages of a checkpoint as of now; see `Checkpointer`. Nothing may be gathered."""
        monitor = self.monitor
        return self.checkpointer.messages(
            {key: watch_state.items(watch) for key, watch in monitor.watches.items()},
            offset=self.offset,
            records=monitor.records,
            segments_dropped=monitor.segments_dropped,
        )


def restore(
    messages: Mapping[bytes, bytes], config: Config, references: References
) -> Partition | None:
    """The partition as its newest checkpoint has it; None where there is no checkpoint.

    messages: the newest value of every key of the partition's state.
    Raises StateError for a checkpoint that cannot be used.
    """
    manifest = state.read_manifest(messages)
    if manifest is None:
        return None
    partition = Partition(DriftMonitor(config, references), manifest.offset, saved=manifest.offset)
    monitor = partition.monitor
    monitor.records.update(manifest.records)
    monitor.segments_dropped = manifest.segments_dropped
    # a segment's level hangs on the whole model's pace: whole models first
    restored = sorted(
        state.read_items(manifest, messages), key=lambda each: each[0].segment != WHOLE
    )
    for entry, items in restored:
        key = entry.model, entry.segment
        watch = monitor.new_watch(*key)
        unchanged = watch_state.restore(watch, items, references.get(key))
        monitor.watches[key] = watch
        partition.checkpointer.adopt(entry, watch_state.items(watch), unchanged)
    partition.checkpointer.useless.update(messages.keys() - state.keys(manifest))
    return partition
