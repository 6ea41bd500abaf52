"""The sources of a model beside its records: warm-up, and samples watched."""

from __future__ import annotations

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, graph, query
from grafana.dashboards.elements.promql import MODEL, highest, metric, rate, total


def row() -> Row:
    """Return the row."""
    return Row(
        "Warm-up and judged samples",
        [
            graph(
                "Warm-up: records remaining",
                Description(
                    "Records that each source of the model still needs for its reference: `log` is"
                    " the records themselves, `judge` the judged samples, `feedback` the records"
                    " with feedback.",
                    "Zero, or falling.",
                    "Until it is zero, no alarm can open for the features of this source. Judged"
                    " samples are rare: a warm-up takes `judges.reference.records` divided by their"
                    " rate.",
                    "PlumblineModelWarmingUp",
                ),
                "none",
                query(highest(metric("warmup_records_remaining", MODEL), "source"), "{{source}}"),
                width=12,
            ),
            graph(
                "Samples watched",
                Description(
                    "Judged samples and records with feedback that detect processes per second, and"
                    " those scored by another judge or rubric than the watched one.",
                    "Steady, at the rate of sampling; none of another judge. Empty without judges"
                    " and feedback.",
                    "At zero the quality is not checked for drift: see the role judge. Samples of"
                    " another judge that do not end: not all judge processes have the same"
                    " configuration.",
                ),
                "reqps",
                query(total(rate("samples_watched_total", MODEL), "source"), "{{source}}"),
                query(
                    total(rate("samples_skipped_total", MODEL), "source"),
                    "{{source}}, another judge",
                ),
                width=12,
            ),
        ],
    )
