"""The values of each feature of one model: reference and current window."""

from __future__ import annotations

from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Column, Description, dashed, graph, query, table
from grafana.dashboards.elements.promql import FEATURE, MODEL, highest, metric

KEYS = ("feature", "statistic")
GRAPHS = (
    ("Times", "ms", 'feature=~".+_ms"', 'statistic=~"p50|p95"'),
    ("Tokens", "none", 'feature=~".+_tokens"', 'statistic=~"p50|p95"'),
    ("Cost", "currencyUSD", 'feature=~".+_usd"', 'statistic=~"mean|p95"'),
    ("Lengths", "none", 'feature=~".+_chars"', 'statistic=~"p50|p95"'),
    (
        "Scores and other numbers",
        "none",
        'feature!~".+(_ms|_tokens|_usd|_chars)"',
        'statistic="mean"',
    ),
    ("Shares", "percentunit", 'statistic=~"share|most_frequent|unseen"'),
)
"""Title, unit and matchers of each graph."""


def row() -> Row:
    """Return the row."""
    graphs = [_graph(title, unit, *matchers) for title, unit, *matchers in GRAPHS]
    return Row("Values: reference and current window", [_table(), _style(), *graphs])


def _style() -> Table:
    """Return the table of the markers of style that have an open alarm."""
    style = 'feature=~"style[.].+|prompt[.].+"'
    current = highest(metric("feature_value", MODEL, style), "feature")
    reference = highest(metric("feature_reference_value", MODEL, style), "feature")
    return table(
        "Style of answers and prompts",
        Description(
            "Share of sampled answers (`style`) and prompts (`prompt`) with each marker that has an"
            " open alarm, before and after. The shares of answers are those at the reference's mix"
            " of prompts.",
            "Empty.",
            "Markers of answers that move together are another model, another fine-tune or another"
            " system prompt. Markers of prompts are other users or another application.",
        ),
        {"feature": "Marker"},
        [
            Column("Before", "percentunit", reference, None, 1),
            Column("After", "percentunit", current, None, 1),
        ],
        sort_by="After",
    )


def _table() -> Table:
    current = highest(metric("feature_value", MODEL, FEATURE), *KEYS)
    reference = highest(metric("feature_reference_value", MODEL, FEATURE), *KEYS)
    return table(
        "Values by feature",
        Description(
            "Statistics of each feature in the reference and in the current window, in the unit of"
            " the feature. `share`: of a binary feature. `most_frequent`: share of the category"
            " that is most frequent in the reference. `unseen`: share of categories that are not"
            " in the reference.",
            "Changes of a few percent; p95 varies most.",
            "If a feature with an open alarm has moved, look for a deployment at the time of the"
            " mark. Without an alarm the move is within what chance explains, or too small.",
        ),
        {"feature": "Feature", "statistic": "Statistic"},
        [
            Column("Change", "percentunit", f"{current} / ({reference} != 0) - 1", None, 0),
            Column("Reference", "none", reference, None, 4),
            Column("Current", "none", current, None, 4),
        ],
        sort_by="Change",
    )


def _graph(title: str, unit: str, *matchers: str) -> Timeseries:
    current = highest(metric("feature_value", MODEL, FEATURE, *matchers), *KEYS)
    reference = highest(metric("feature_reference_value", MODEL, FEATURE, *matchers), *KEYS)
    panel = graph(
        title,
        Description(
            "Values of these features in the current window; dashed: in the reference.",
            "Close to the dashed lines.",
            "A step is a deployment or another model; a slow change is other traffic.",
        ),
        unit,
        query(current, "{{feature}} {{statistic}}"),
        query(reference, "{{feature}} {{statistic}}, reference"),
    )
    return dashed(panel, "B")
