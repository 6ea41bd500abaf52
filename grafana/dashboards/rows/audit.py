"""The false-page rate: the budget compared with the measurement of the self-audit."""

from __future__ import annotations

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import RED, Description, dashed, graph, query, stat
from grafana.dashboards.elements.promql import MODEL, highest, metric, total


def row() -> Row:
    """Return the row."""
    promised, measured = (
        f"30 * {highest(metric(f'false_pages_{which}_per_day', MODEL), 'model')}"
        for which in ("promised", "measured")
    )
    pages = graph(
        "False pages per 30 days",
        Description(
            "Expected number of pages of this model in 30 days without any change. Dashed: the"
            " budget, `alarms.false_pages`. Solid: the rate that the daemon measures by replaying"
            " the reference.",
            "Well below the dashed line.",
            "If it is above the line for days, the reference is not homogeneous: build a longer one"
            " without incidents. Soon after a start, few records have been replayed.",
        ),
        "none",
        query(measured, "measured"),
        query(promised, "promised"),
        width=18,
    )
    return Row(
        "Budget: false-page rate",
        [
            dashed(pages, "B", RED),
            stat(
                "Records replayed",
                Description(
                    "Number of records behind the measured rate, since the process started.",
                    "Millions, after some hours.",
                    "With few records the rate is not reliable yet. Replaying takes at most 1 % of"
                    " the time.",
                ),
                "short",
                total(metric("false_pages_audited_records", MODEL)),
                width=6,
            ),
        ],
    )
