"""The rows of the dashboard *Review*: queues, inflow and labels, pages."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, Panel, graph, limits, query, stat
from grafana.dashboards.elements.promql import highest, increase, metric, quantile, rate, total


def queues() -> Row:
    """Return the row of queues and ratings."""
    return Row("Queues", [_items(), _oldest(), _ratings()])


def inflow() -> Row:
    """Return the row of samples, labels and texts."""
    return Row("Inflow and labels", [_inflow(), _labels(), _erased(), *_stored()])


def pages() -> Row:
    """Return the row of requests."""
    return Row("Pages and API", [_requests(), _duration(), _refusals(), _store(), _streams()])


def _items() -> Timeseries:
    return graph(
        "Items by state",
        Description(
            "Items of each review queue. All processes read the same database. Contested: the"
            " annotators disagree, and an admin decides. Unlabelled: everybody skipped it.",
            "Open items fall as fast as samples arrive.",
            "Contested items wait for an admin. Many unlabelled ones: read the reasons of skips,"
            " and change the guideline.",
        ),
        "none",
        query(highest(metric("review_items"), "queue", "state"), "{{queue}}, {{state}}"),
    )


def _oldest() -> Timeseries:
    return graph(
        "Age of the oldest open item",
        Description(
            "Time since the oldest open item of a queue was added. Items are served by priority, so"
            " an easy one may wait for long.",
            "Below the retention of the texts.",
            "Lower `base` or `sampling.rate` of the queue, or invite more annotators: texts are"
            " erased after `retention_days`, and their items with them.",
        ),
        "s",
        query(highest(metric("review_oldest_seconds"), "queue"), "{{queue}}"),
    )


def _ratings() -> Timeseries:
    ratings = increase("review_ratings_total", over="1h")
    return graph(
        "Tasks by what people did",
        Description(
            "Tasks that were submitted, skipped, undone or adjudicated within the last hour.",
            "Mostly submitted.",
            "Many skips or undone answers: the rubric or the guideline is not clear.",
        ),
        "none",
        query(f"round({total(ratings, 'queue', 'action')}) > 0", "{{queue}}, {{action}}"),
        stacked=True,
    )


def _inflow() -> Timeseries:
    return graph(
        "Samples and evaluations read",
        Description(
            "Messages that the role has read within the last hour, by outcome: added to a queue,"
            " known, filtered, judged (a score found its item), and others.",
            "Added, filtered and judged.",
            "Full: a queue has `limit` open items, and new samples are dropped. Unmatched: a score"
            " had no item within ten minutes. Unreadable: another version writes the topic.",
        ),
        "none",
        query(
            f"round({total(increase('review_inflow_total', over='1h'), 'outcome')})", "{{outcome}}"
        ),
        stacked=True,
    )


def _labels() -> Timeseries:
    return graph(
        "Labels for the evaluations topic",
        Description(
            "Labels of people that were sent within the last hour, those that failed and are sent"
            " again, and those that wait. A label waits ten minutes, so that it can be undone.",
            "None failed.",
            "The broker refuses or does not answer: follow the runbook.",
            "PlumblineReviewLabelsFailing",
        ),
        "none",
        query(
            f"round({total(increase('review_labels_total', over='1h'), 'outcome')})", "{{outcome}}"
        ),
        query(highest(metric("review_labels_unsent")), "waiting"),
    )


def _erased() -> Timeseries:
    return graph(
        "Erased texts",
        Description(
            "Items whose texts were erased within the last day, by reason: retention, or a request"
            " about a request id or a user.",
            "Retention erases as many as arrived `retention_days` ago.",
            "None although texts are old: the role does not run, or cannot write the database.",
        ),
        "none",
        query(
            f"round({total(increase('review_erased_total', over='1d'), 'reason')})", "{{reason}}"
        ),
        stacked=True,
    )


def _stored() -> list[Panel]:
    return [
        stat(
            "Items with texts",
            Description(
                "Items whose texts are in the database now.",
                "At most those of `retention_days`.",
                "Shorten the retention of a queue, or erase by user or request.",
            ),
            "none",
            highest(metric("review_texts")),
        )
    ]


def _requests() -> Timeseries:
    return graph(
        "Requests by status",
        Description(
            "Requests per second by class of status.",
            "2xx and 3xx; some 4xx.",
            "5xx: the database is not available, or a defect. Follow the runbook.",
            "PlumblineWebFailing",
        ),
        "reqps",
        query(total(rate("web_requests_total"), "status"), "{{status}}"),
        stacked=True,
    )


def _duration() -> Timeseries:
    return graph(
        "Duration of requests",
        Description(
            "Median and 95th percentile of the duration of requests, without event streams.",
            "Below 0.1 s in the median.",
            "Start another process of the role, or move the database to PostgreSQL.",
        ),
        "s",
        query(quantile(0.5, "web_request_seconds"), "p50"),
        query(quantile(0.95, "web_request_seconds"), "p95"),
        thresholds=limits(0.25, 1),
    )


def _refusals() -> Timeseries:
    return graph(
        "Refused requests",
        Description(
            "Requests within the last hour that reached no route, by reason: sign-in, host, origin,"
            " rate, and others.",
            "Few; `sign_in_missing` of browsers without a session.",
            "`sign_in_wrong_token` and `sign_in_wrong_secret` may be attacks, or a secret that was"
            " rotated on one side. `host`: add the name to `web.allowed_hosts`.",
            "PlumblineWebSignInRefused",
        ),
        "none",
        query(
            f"round({total(increase('web_refusals_total', over='1h'), 'reason')}) > 0",
            "{{reason}}",
        ),
        stacked=True,
    )


def _store() -> Timeseries:
    return graph(
        "Failed operations of the database",
        Description(
            "Operations of the database of the web application that failed within the last hour.",
            "None.",
            "Pages answer with 503 meanwhile, and nothing is lost. Follow the runbook.",
            "PlumblineWebFailing",
        ),
        "none",
        query(total(increase("web_store_errors_total", over="1h")), "failed"),
    )


def _streams() -> Timeseries:
    return graph(
        "Pages that receive events",
        Description(
            "Open event streams of experiment cards, in all processes.",
            "About one for each person who looks at an experiment.",
            "At 200 in a process, further pages load again instead.",
        ),
        "none",
        query(total(metric("web_event_streams")), "streams"),
    )
