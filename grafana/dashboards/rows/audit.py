"""Whether the false-page budget holds: what is promised beside what the self-audit measures."""

from __future__ import annotations

from grafana.dashboards.frame import Row
from grafana.dashboards.panels import RED, Words, dashed, graph, query, stat
from grafana.dashboards.promql import MODEL, highest, own, total


def row() -> Row:
    """The row."""
    promised, measured = (
        f"30 * {highest(own(f'false_pages_{which}_per_day', MODEL), 'model')}"
        for which in ("promised", "measured")
    )
    pages = graph(
        "False pages in 30 days",
        Words(
            "Pages that this model would make in 30 days if nothing changed: dashed as promised by"
            " `alarms.false_pages`, and as the daemon measures by replaying the reference.",
            "Well below the dashed line.",
            "above it for days, the reference is not of one kind: build a longer one that holds no"
            " incident. Early on few records have been replayed: see beside.",
        ),
        "none",
        query(measured, "measured"),
        query(promised, "promised"),
        width=18,
    )
    return Row(
        "Budget: does the promise hold",
        [
            dashed(pages, "B", RED),
            stat(
                "Records replayed",
                Words(
                    "How many records the measured rate rests on, since the process started.",
                    "Millions, after some hours.",
                    "few mean that the rate is not known yet; replaying takes at most 1 % of the"
                    " time.",
                ),
                "short",
                total(own("false_pages_audited_records", MODEL)),
                width=6,
            ),
        ],
    )
