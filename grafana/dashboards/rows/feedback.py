"""Feedback and its join: values by outcome, messages, and the ids that are kept."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, graph, query
from grafana.dashboards.elements.promql import increase, metric, rate, total


def row() -> Row:
    """Return the row; its graphs are empty if no feedback is configured."""
    return Row("Feedback", [_values(), _messages(), _ids(), _size(), _losses()])


def _values() -> Timeseries:
    return graph(
        "Feedback values by outcome",
        Description(
            "Values of feedback per second: `sent` to the windows, `replaced` by a newer one,"
            " `late` (newer than one that was sent), `unmatched` (without a record within the"
            " horizon), `not_indexed` (outside of `feedback.join.rate`), `dropped` (by a limit).",
            "Mostly sent. All graphs of this row are empty without the section `feedback`.",
            "Many unmatched values: the ids of feedback are not those of the records. Many late"
            " ones: raise `feedback.settle`.",
            "PlumblineFeedbackUnmatched",
        ),
        "reqps",
        query(total(rate("feedback_values_total"), "outcome"), "{{outcome}}"),
    )


def _messages() -> Timeseries:
    return graph(
        "Feedback messages",
        Description(
            "Messages of feedback per second by format; parts of them without a number, by kind;"
            " and messages with an invalid part, by reason.",
            "One or a few formats, and nothing rejected.",
            "Rejected messages are in the dead-letter topic, with the reason. Skipped parts have no"
            " value: a text, an evaluation that failed, a span.",
            "PlumblineDeadLetters",
        ),
        "reqps",
        query(total(rate("feedback_messages_total"), "format"), "{{format}}"),
        query(total(rate("feedback_skipped_total"), "kind"), "skipped: {{kind}}"),
        query(total(rate("feedback_rejected_total"), "reason"), "rejected: {{reason}}"),
    )


def _ids() -> Timeseries:
    return graph(
        "Ids kept for feedback",
        Description(
            "Ids of records of the last `feedback.join.horizon`, and values whose record is not"
            " known yet.",
            "As many ids as the horizon has records, and few values.",
            "Values that wait: ingest is behind, or their ids are not those of records. Ids that"
            " stay at zero: ingest has no `feedback.join`.",
        ),
        "none",
        query(total(metric("join_ids")), "ids"),
        query(total(metric("join_waiting_values")), "waiting values"),
    )


def _size() -> Timeseries:
    return graph(
        "Size of ids and values",
        Description(
            "Size of what is kept for feedback, in memory and in files that the system may write"
            " out, and the ids that ingest writes per second.",
            "About 30 bytes an id, steady after a horizon.",
            "Lower `feedback.join.rate` or `feedback.join.horizon`, or start more processes with"
            " the role join.",
        ),
        "bytes",
        query(total(metric("join_state_bytes")), "size"),
        query(total(rate("join_keys_written_total")), "ids written per second"),
    )


def _losses() -> Timeseries:
    return graph(
        "Feedback that cannot count",
        Description(
            "Ids dropped by a limit, messages of ids that had expired when a restart needed them,"
            " messages that are none, and events of an experiment without its unit.",
            "None.",
            "Expired messages: raise `retention.ms` of the joins topic to one and a half horizons"
            " and two days. Without unit: send `user_id` with the feedback, or no model.",
        ),
        "none",
        query(total(increase("join_ids_dropped_total")), "ids dropped"),
        query(total(increase("join_messages_lost_total")), "messages expired"),
        query(total(increase("join_messages_unreadable_total")), "messages unreadable"),
        query(
            total(increase("feedback_values_without_unit_total"), "experiment"),
            "without unit: {{experiment}}",
        ),
    )
