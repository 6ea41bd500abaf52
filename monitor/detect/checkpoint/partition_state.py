"""The state of a feature partition: convert it to checkpoint messages, and restore it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from monitor.config.schema import Config
from monitor.detect.checkpoint import state_topic, watch_state
from monitor.detect.checkpoint.state_topic import Checkpointer, Messages, WatchKey
from monitor.detect.coalescer import Coalescer
from monitor.detect.monitor import DriftMonitor, References
from monitor.detect.watch import Watch
from monitor.events.commands import Answer
from monitor.ingest.chunks.segments import WHOLE
from monitor.ingest.fields.limits import LEGACY_OTHER, OTHER
from monitor.records import Source

MAX_FAILURES = 3
"""Failed checkpoints after which they are tried without the answers to commands."""


@dataclass(slots=True)
class Partition:
    """One assigned feature partition.

    offset: of the next chunk to read. saved_offset: offset of the last checkpoint.
    features_id: id of the feature topic; empty if it is not known.
    coalescer: chunks before `offset` that are not evaluated yet.
    uncounted: events found since the last checkpoint, by labels of their metric. They are counted
        when the next one is durable: after a crash they are found again.
    restarted: watches whose windows or detectors started anew at the restore, by part.
    answers: to the commands applied since the last checkpoint; the next one contains them.
    failures: checkpoints with these answers that failed.
    """

    monitor: DriftMonitor
    offset: int
    saved_offset: int | None = None
    features_id: str = ""
    checkpointer: Checkpointer = field(default_factory=Checkpointer)
    coalescer: Coalescer = field(default_factory=Coalescer)
    uncounted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    restarted: Counter[str] = field(default_factory=Counter)
    answers: list[Answer] = field(default_factory=list)
    failures: int = 0

    @property
    def changed(self) -> bool:
        """Whether chunks have been read, or commands applied, since the last checkpoint."""
        return self.offset != self.saved_offset

    @property
    def commands_offset(self) -> int:
        """Offset of the first command that is not applied."""
        return self.checkpointer.commands

    def end_command(self, answer: Answer | None, next_offset: int) -> None:
        """Make the result of a command a part of the next checkpoint.

        answer: None if the topic has it already. next_offset: of the first command not applied.
        """
        self.answers += [answer] if answer is not None else []
        self.checkpointer.commands = next_offset
        self.saved_offset = None

    def mark_written(self) -> None:
        """Record that the last result of `messages` is durable."""
        self.saved_offset = self.offset
        self.answers.clear()
        self.failures = 0
        self.checkpointer.mark_written()

    def mark_rolled_back(self) -> bool:
        """Record that a checkpoint failed; drop its answers after some failures.

        Without the right to write answers no checkpoint would ever be committed. Returns whether
        answers were dropped.
        """
        self.failures += bool(self.answers)
        dropped = self.failures >= MAX_FAILURES and bool(self.answers)
        if dropped:
            self.answers.clear()
        return dropped

    def mark_unwritten(self) -> None:
        """Record that nothing is in the state topic: the next checkpoint writes everything."""
        self.saved_offset = None
        self.checkpointer = Checkpointer(commands=self.checkpointer.commands)

    def messages(self) -> Messages:
        """Return the messages of a checkpoint; see `Checkpointer`. No chunk may be pending."""
        monitor = self.monitor
        return self.checkpointer.messages(
            {key: watch_state.items(watch) for key, watch in self._changed_watches()},
            offset=self.offset,
            records=monitor.records(),
            segments_dropped=monitor.segments_dropped,
            features=self.features_id,
        )

    def continue_in(self, features_id: str, first: int) -> bool:
        """Continue with the feature topic of this id; return whether it is another one.

        The state is kept. The chunks of another topic are read from its `first` offset on.
        features_id: empty if it is not known; nothing is then changed.
        """
        again = "" not in (self.features_id, features_id) and self.features_id != features_id
        self.features_id = features_id or self.features_id
        if again:
            self.offset, self.saved_offset = first, None
        return again

    def _changed_watches(self) -> Iterator[tuple[WatchKey, Watch]]:
        """Yield the watches that have changed since the last checkpoint."""
        for watch in self.monitor.watches():
            key = WatchKey(watch.model, watch.segment, watch.source)
            token = watch_state.head_token(watch)
            if not self.checkpointer.is_written(key, watch_state.HEAD, token):
                yield key, watch


def restore(
    messages: Mapping[bytes, bytes], config: Config, references: References
) -> Partition | None:
    """Return the partition as of its last checkpoint; None if there is no checkpoint.

    messages: the newest value of every key of the partition in the state topic.
    Raises StateError if the checkpoint cannot be used.
    """
    manifest = state_topic.read_manifest(messages)
    if manifest is None:
        return None
    partition = Partition(
        DriftMonitor(config, references),
        manifest.offset,
        saved_offset=manifest.offset,
        features_id=manifest.features,
    )
    partition.checkpointer.commands = manifest.commands
    monitor = partition.monitor
    monitor.log.records.update(manifest.records)
    monitor.log.segments_dropped = manifest.segments_dropped
    # whole models first: the levels of segments depend on their record rate
    restored = sorted(
        state_topic.read_items(manifest, messages), key=lambda each: each[0].segment != WHOLE
    )
    for entry, items in restored:
        source, key = monitor.of(entry.source), (entry.model, entry.segment)
        watch = source.new_watch(*key)
        restored_watch = watch_state.restore(watch, items, source.references.get(key))
        source.watches[key] = watch
        if entry.segment == WHOLE and entry.source is not Source.LOG:
            source.records[entry.model] = entry.records
        monitor.pending += restored_watch.events
        partition.restarted.update(restored_watch.restarted)
        partition.checkpointer.adopt(entry, restored_watch.tokens, messages)
    records = monitor.log.records
    if (LEGACY_OTHER, WHOLE) not in monitor.log.watches and LEGACY_OTHER in records:
        records[OTHER] += records.pop(LEGACY_OTHER)
    partition.checkpointer.stale_keys.update(messages.keys() - state_topic.keys(manifest))
    if monitor.pending:  # these alarms must not be found in the checkpoint again
        partition.saved_offset = None
    return partition
