"""Each detector's statistic for one model, relative to its threshold."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Column, Description, graph, limits, query, table
from grafana.dashboards.elements.promql import FEATURE, MODEL, highest, metric, ratio

DETECTORS = {
    "e_detector": "e-detector: several kinds of change, usually the first to detect one",
    "psi": "population stability index: shares of bins",
    "ks": "Kolmogorov-Smirnov: the whole distribution",
    "zscore": "z-score: the mean",
    "chi2": "chi-squared: shares of categories",
    "page_hinkley": "Page-Hinkley: small lasting shifts of the mean",
}
WITHOUT_THRESHOLD = ("adwin",)
"""Detectors without a graph: ADWIN has a threshold only at the moment of a cut."""


def row() -> Row:
    """Return the row."""
    statistic = metric("drift_statistic", MODEL, FEATURE)
    threshold = metric("drift_threshold", MODEL, FEATURE)
    keys = ("feature", "detector")
    share = ratio(highest(statistic, *keys), highest(threshold, *keys))
    return Row(
        "Significance: statistics relative to their thresholds",
        [
            *(_detector(name, about) for name, about in DETECTORS.items()),
            table(
                "Statistics",
                Description(
                    "Current statistic of each detector for each feature, in its own unit, with its"
                    " threshold and the ratio of both.",
                    "Ratios below 100 %.",
                    "Start with the feature that has the largest ratio. A detector without a"
                    " verdict has no row.",
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
    statistic = highest(metric("drift_statistic", *chosen), "feature")
    threshold = highest(metric("drift_threshold", *chosen), "feature")
    return graph(
        f"{name}: share of threshold",
        Description(
            f"Statistic of `{name}` ({about}), relative to its threshold, which follows from the"
            " false-page budget.",
            "Below 100 %.",
            "From 100 % the change is significant; PSI shows its size. An empty graph means that"
            " the detector is not configured, is in warm-up, or does not support this kind of"
            " feature.",
        ),
        "percentunit",
        query(ratio(statistic, threshold), "{{feature}}"),
        thresholds=limits(critical=1),
    )
