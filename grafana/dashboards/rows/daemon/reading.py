"""Messages consumed and rejected, and the lag behind the log."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, graph, limits, query, stat
from grafana.dashboards.elements.promql import highest, metric, rate, total

LAG = limits(warning=60, critical=300)
"""Thresholds of the event-time lag, in seconds."""


def row() -> Row:
    """Return the row."""
    panels = [_consumed(), _rejected(), _dead_letters(), _watched(), _lag(), _event_time_lag()]
    panels += [_expired(), _formats(), _skipped(), _dropped(), _samples(), _redacted()]
    panels += [_joining(), _repeated(), _registry()]
    return Row("Consumption", panels)


def newest_record() -> Stat:
    """Return the event-time lag as a single number."""
    return stat(
        "Event-time lag",
        Description(
            "Age of the newest record that has been read: the delay of an alarm.",
            "Seconds.",
            "If the consumer lag on the dashboard Plumbline itself grows, start more processes. If"
            " it does not, the log has no traffic, or records are logged late.",
            "PlumblineEventTimeLag",
        ),
        "s",
        highest(metric("event_time_lag_seconds")),
        thresholds=LAG,
    )


def _consumed() -> Timeseries:
    return graph(
        "Messages consumed",
        Description(
            "Messages per second that ingest has read and committed, by log topic.",
            "The traffic of your models.",
            "Zero with a growing lag means that ingest is stuck, or that Kafka denies access.",
            "PlumblineNoRecords",
        ),
        "cps",
        query(total(rate("records_consumed_total"), "topic"), "{{topic}}"),
    )


def _rejected() -> Timeseries:
    return graph(
        "Messages rejected, by reason",
        Description(
            "Messages per second that are not valid records, by reason.",
            "Zero.",
            "A producer writes another format. The headers of the messages in `plumbline.dlq`"
            " contain origin and reason.",
            "PlumblineDeadLetters",
        ),
        "cps",
        query(total(rate("records_rejected_total"), "reason"), "{{reason}}"),
    )


def _formats() -> Timeseries:
    return graph(
        "Records, by format",
        Description(
            "Records per second, by the format of their messages.",
            "The formats of your producers, and none other.",
            "A format that should not be there: `plumbline decode` shows what a message becomes."
            " None at all: see the rejected messages.",
        ),
        "cps",
        query(total(rate("records_decoded_total"), "format"), "{{format}}"),
    )


def _skipped() -> Timeseries:
    return graph(
        "Entries skipped, by kind",
        Description(
            "Entries of messages per second that are no inference, by kind.",
            "As many spans of tools, embeddings and health checks as the applications log.",
            "If inferences are missing, compare the kind with a message in `plumbline decode`.",
        ),
        "cps",
        query(total(rate("records_skipped_total"), "kind"), "{{kind}}"),
    )


def _joining() -> Timeseries:
    return graph(
        "Calls that wait for parts",
        Description(
            "Calls of which some parts have arrived, such as a request without its response.",
            "As many as are in progress.",
            "If it reaches 100,000, parts are lost: see the kinds `lost_...` of skipped entries."
            " Their other parts are not logged, or another process reads them.",
        ),
        "short",
        query(total(metric("calls_waiting")), "calls"),
    )


def _repeated() -> Timeseries:
    return graph(
        "Repeated records",
        Description(
            "Records per second with the request id of an earlier one, if `decoding.duplicates` is"
            " `count` or `drop`.",
            "Zero, or some at a restart of a producer.",
            "A producer writes records twice, or two formats log the same calls.",
        ),
        "cps",
        query(total(rate("records_duplicate_total")), "repeated"),
    )


def _registry() -> Timeseries:
    return graph(
        "Failures of the schema registry",
        Description(
            "Times per second that messages could not be decoded because the schema registry did"
            " not answer. Nothing is read meanwhile, and nothing is lost.",
            "Zero.",
            "Check the registry, `kafka.schema_registry`, and the log of ingest.",
        ),
        "cps",
        query(total(rate("schema_registry_failures_total")), "failures"),
    )


def _dead_letters() -> Timeseries:
    return graph(
        "Incomplete dead letters, by outcome",
        Description(
            "Rejected messages per second that were written truncated or as a stub to the"
            " dead-letter topic, or dropped.",
            "Zero.",
            "Truncated: the messages are larger than the topic accepts. Stub or dropped: check the"
            " limits of `plumbline.dlq` and the right to write it.",
            "PlumblineDeadLettersIncomplete",
        ),
        "cps",
        query(total(rate("dead_letters_incomplete_total"), "outcome"), "{{outcome}}"),
    )


def _watched() -> Timeseries:
    return graph(
        "Records watched",
        Description(
            "Records per second that detect has processed.",
            "The consumed messages minus the rejected ones.",
            "If it stays lower, detect is behind: see Lag by partition.",
            "PlumblineDetectIdle",
        ),
        "cps",
        query(total(rate("records_watched_total")), "watched"),
    )


def _lag() -> Timeseries:
    return graph(
        "Lag by partition",
        Description(
            "Messages of each partition that have not been read.",
            "Near zero with short peaks.",
            "If all partitions grow, start more processes. If one grows, its process is stuck, or"
            " its models have too much traffic for one process.",
            "PlumblineConsumerLagGrowing",
        ),
        "short",
        query(
            highest(metric("consumer_lag_records"), "topic", "partition"),
            "{{topic}} {{partition}}",
        ),
    )


def _expired() -> Timeseries:
    return graph(
        "Messages expired unread",
        Description(
            "Messages per second that retention deleted before they were read, by topic.",
            "Zero.",
            "Read faster, or raise the retention of the topic.",
            "PlumblineMessagesExpired",
        ),
        "cps",
        query(total(rate("messages_expired_total"), "topic"), "{{topic}}"),
    )


def _event_time_lag() -> Timeseries:
    return graph(
        "Event-time lag by process",
        Description(
            "Age of the newest record that each process has read.",
            "Seconds.",
            "Without traffic it grows by one second per second. With traffic the process is behind,"
            " or records are logged late.",
            "PlumblineEventTimeLag",
        ),
        "s",
        query(highest(metric("event_time_lag_seconds"), "instance"), "{{instance}}"),
        thresholds=LAG,
    )


def _dropped() -> Timeseries:
    names = ("scores_dropped", "segments_dropped", "chunks_rejected", "records_ahead")
    return graph(
        "Dropped values and chunks",
        Description(
            "Scores and segments beyond their limit, chunks that could not be decoded, and records"
            " whose time is more than an hour ahead of the clock, per second.",
            "Zero.",
            "Scores: check `limits.scores`. Segments: check `limits.segments`. Chunks: another"
            " version writes to the feature topic.",
            "PlumblineLimitReached",
        ),
        "cps",
        *(query(total(rate(f"{name}_total")), name.replace("_", " ")) for name in names),
    )


def _samples() -> Timeseries:
    return graph(
        "Samples, by kind",
        Description(
            "Samples per second that ingest writes for judging: drawn uniformly, or in addition"
            " (boosted); cut because they are large; drawn and not written, by reason.",
            "A constant share of the records; nothing where no judge is configured.",
            "Dropped as `refused`: check the limits of `plumbline.samples` and the right to write"
            " it. Many boosted ones: errors or refusals have become frequent.",
        ),
        "cps",
        query(total(rate("samples_written_total"), "kind"), "{{kind}}"),
        query(total(rate("samples_cut_total")), "cut"),
        query(total(rate("samples_dropped_total"), "reason"), "dropped: {{reason}}"),
    )


def _redacted() -> Timeseries:
    return graph(
        "Redacted places in samples",
        Description(
            "Secrets and personal data per second that were replaced in samples, by kind.",
            "As your traffic is. Zero with `sampling.redact: false`.",
            "A sudden rise of one kind: users or tools send such data now, or a pattern of"
            " `sampling.redact_patterns` matches too much.",
        ),
        "cps",
        query(total(rate("samples_redacted_total"), "kind"), "{{kind}}"),
    )
