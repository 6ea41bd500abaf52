"""Names and settings of the topics that Plumbline writes, and the partitions of their keys."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics that Plumbline writes, by content."""

    prefix: str

    @property
    def features(self) -> str:
        """Feature chunks, keyed by model."""
        return f"{self.prefix}.features"

    @property
    def samples(self) -> str:
        """Whole records that were drawn for judging and replay, keyed by request id."""
        return f"{self.prefix}.samples"

    @property
    def dead_letters(self) -> str:
        """Rejected messages, unchanged, with the reason in their headers."""
        return f"{self.prefix}.dlq"

    @property
    def events(self) -> str:
        """Drift events, keyed by model."""
        return f"{self.prefix}.events"

    @property
    def state(self) -> str:
        """Checkpoints of detect; compacted, partitioned like the feature topic."""
        return f"{self.prefix}.state"

    @property
    def commands(self) -> str:
        """Commands to detect with their answers, keyed by model; partitioned like features."""
        return f"{self.prefix}.commands"

    @property
    def evaluations(self) -> str:
        """Evaluations of samples by judges and people, keyed by request id."""
        return f"{self.prefix}.evaluations"

    @property
    def judge_state(self) -> str:
        """Ledgers and unfinished results of judge; compacted, partitioned like the samples."""
        return f"{self.prefix}.judge-state"

    @property
    def exposures(self) -> str:
        """Exposures of experiments, keyed by experiment and shard."""
        return f"{self.prefix}.exposures"

    @property
    def experiment_state(self) -> str:
        """Sums, decisions and results of experiments; compacted, partitioned like exposures."""
        return f"{self.prefix}.experiment-state"

    @property
    def joins(self) -> str:
        """Ids of records and feedback that refers to them, partitioned by the hash of the id."""
        return f"{self.prefix}.joins"

    def settings(
        self,
        *,
        sampled: bool = False,
        judged: bool = False,
        experiments: bool = False,
        joins_seconds: float | None = None,
    ) -> dict[str, dict[str, str]]:
        """Return the settings with which each topic is created, by name.

        sampled, judged, experiments: whether to include the topics that only they need. What is
        judged is sampled. joins_seconds: how long the messages of a join are needed; None without
        feedback.
        """
        quarter = {"retention.ms": str(90 * DAY_MS), "cleanup.policy": "delete"}
        two_weeks = {"retention.ms": str(14 * DAY_MS), "cleanup.policy": "delete"}
        large = {"max.message.bytes": str(8 * 1024 * 1024)}
        samples = {"retention.ms": str(3 * DAY_MS), "cleanup.policy": "delete"}
        state = {
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.2",
            "segment.bytes": str(64 * 1024 * 1024),
        }
        sampling = {self.samples: samples | large, self.evaluations: quarter}
        experimenting = {
            self.exposures: two_weeks | large,
            self.experiment_state: state | large,
        }
        return {
            **(sampling if sampled or judged else {}),
            **({self.judge_state: state} if judged else {}),
            **(experimenting if experiments else {}),
            **({} if joins_seconds is None else {self.joins: _joins(joins_seconds) | large}),
            self.features: two_weeks | large,
            self.dead_letters: two_weeks | large,
            self.state: state,
            self.events: quarter,
            self.commands: quarter,
        }


def _joins(seconds: float) -> dict[str, str]:
    """Return the retention of the joins topic.

    A segment of the log is deleted as a whole when its newest message is old enough, so short ones
    keep the topic small. Wall clock and event time differ during an outage: two days are added.
    """
    hours = 3_600_000
    return {
        "retention.ms": str(int(1.5 * seconds * 1000) + 2 * DAY_MS),
        "segment.ms": str(max(hours, int(seconds * 1000) // 8)),
        "cleanup.policy": "delete",
    }


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as Plumbline's producers choose it.

    It is the hash of Java's producers (MurmurHash2 with Kafka's seed), modulo the number of
    partitions.
    """
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of Kafka's `Utils.murmur2`, unsigned."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    value = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for start in range(0, whole, 4):
        block = int.from_bytes(data[start : start + 4], "little") * factor & mask
        value = (value * factor & mask) ^ ((block ^ block >> 24) * factor & mask)
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15
