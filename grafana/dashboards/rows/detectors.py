"""Each detector's statistic for one model, against its threshold."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.frame import Row
from grafana.dashboards.panels import Column, Words, graph, limits, query, table
from grafana.dashboards.promql import FEATURE, MODEL, highest, own, ratio

DETECTORS = {
    "e_detector": "the e-detector: changes of any kind that it bets on, soonest of all",
    "psi": "population stability index: shares of bins",
    "ks": "Kolmogorov-Smirnov: the whole distribution",
    "zscore": "z-score: the mean",
    "chi2": "chi-squared: shares of categories",
    "page_hinkley": "Page-Hinkley: small lasting shifts of the mean",
}
WITHOUT_THRESHOLD = ("adwin",)
"""Has a threshold only at a cut, which is over when it is looked at: it is in the table alone."""


def row() -> Row:
    """The row."""
    statistic = own("drift_statistic", MODEL, FEATURE)
    threshold = own("drift_threshold", MODEL, FEATURE)
    keys = ("feature", "detector")
    share = ratio(highest(statistic, *keys), highest(threshold, *keys))
    return Row(
        "How sure: each statistic against its threshold",
        [
            *(_detector(name, about) for name, about in DETECTORS.items()),
            table(
                "Statistics",
                Words(
                    "Each detector's statistic for each feature now, in its own unit, its threshold"
                    " and the share of it.",
                    "Shares below 100 %.",
                    "the feature with the largest share is the one to look at first. A detector"
                    " without a verdict has no row.",
                ),
                {"feature": "Feature", "detector": "Detector"},
                [
                    Column("Share of threshold", "percentunit", share, limits(critical=1), 0),
                    Column("Statistic", "none", highest(statistic, *keys), None, 4),
                    Column("Threshold", "none", highest(threshold, *keys), None, 4),
                ],
                sort_by="Share of threshold",
            ),
        ],
    )


def _detector(name: str, about: str) -> Timeseries:
    chosen = (MODEL, FEATURE, f'detector="{name}"')
    statistic = highest(own("drift_statistic", *chosen), "feature")
    threshold = highest(own("drift_threshold", *chosen), "feature")
    return graph(
        f"{name}: share of threshold",
        Words(
            f"The statistic of `{name}` ({about}) as a share of its threshold, which follows from"
            " the false-page budget.",
            "Below 100 %.",
            "from 100 % on the change is significant; whether it matters PSI says. Empty: the"
            " detector is not configured, warms up, or does not read this kind of feature.",
        ),
        "percentunit",
        query(ratio(statistic, threshold), "{{feature}}"),
        thresholds=limits(critical=1),
    )
