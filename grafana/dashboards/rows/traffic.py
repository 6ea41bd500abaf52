"""The traffic of the chosen models: requests, errors, latency, tokens and cost."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.frame import Row
from grafana.dashboards.panels import Words, graph, limits, query
from grafana.dashboards.promql import MODEL, own, quantile, rate, ratio, total

ERRORS = limits(warning=0.01, critical=0.05)
REQUESTS = rate("inference_requests_total", MODEL)
FAILED = rate("inference_requests_total", MODEL, 'status="error"')
COST = rate("inference_cost_usd_total", MODEL)


def row() -> Row:
    """The row of requests, errors, latency and lag."""
    return Row(
        "Traffic",
        [
            graph(
                "Requests by model",
                Words(
                    "Inferences logged a second.",
                    "Each model's daily course.",
                    "a drop to nothing is an outage of the model, or of its log.",
                    "PlumblineModelSilent",
                ),
                "reqps",
                query(total(REQUESTS, "model"), "{{model}}"),
            ),
            graph(
                "Errors by model",
                Words(
                    "Share of the inferences whose log has an error.",
                    "Below 1 %.",
                    "look at the model's provider; the feature `error` is watched for drift too.",
                ),
                "percentunit",
                query(ratio(total(FAILED, "model"), total(REQUESTS, "model")), "{{model}}"),
                thresholds=ERRORS,
            ),
            *(_latency(name, q) for name, q in (("median", 0.5), ("95th percentile", 0.95))),
            graph(
                "Latency, mean",
                Words(
                    "Seconds from request to answer, mean of the logged ones.",
                    "Between the median and the 95th percentile.",
                    "a mean far above the median: few, very slow answers.",
                ),
                "s",
                query(
                    ratio(
                        total(rate("inference_latency_seconds_sum", MODEL), "model"),
                        total(rate("inference_latency_seconds_count", MODEL), "model"),
                    ),
                    "{{model}}",
                ),
            ),
            graph(
                "Lag",
                Words(
                    "Messages of the log and of the feature topic that have not been read.",
                    "Near zero, short peaks.",
                    "if it keeps growing, start more processes (docs/scaling.md).",
                    "PlumblineConsumerLagGrowing",
                ),
                "short",
                query(total(own("consumer_lag_records"), "topic"), "{{topic}}"),
            ),
        ],
    )


def _latency(name: str, q: float) -> Timeseries:
    return graph(
        f"Latency, {name}",
        Words(
            "Seconds from request to answer, as logged. Read from a histogram with bounds from"
            " 50 ms to 120 s: exact to the width of a bucket.",
            "Steady for each model.",
            "a step without a step in output tokens is the provider's; with one, the prompts'.",
        ),
        "s",
        query(quantile(q, "inference_latency_seconds", MODEL, by=("model",)), "{{model}}"),
    )


def usage() -> Row:
    """The row of tokens and cost."""
    tokens = total(rate("inference_tokens_total", MODEL), "model", "direction")
    return Row(
        "Tokens and cost",
        [
            graph(
                "Tokens a second",
                Words(
                    "Tokens logged, read (input) and written (output).",
                    "In step with the requests.",
                    "see Tokens a request for which of both has grown.",
                ),
                "short",
                query(tokens, "{{model}}, {{direction}}"),
            ),
            graph(
                "Tokens a request",
                Words(
                    "Mean tokens of a request and of its answer.",
                    "Steady for each model.",
                    "a step is a new prompt or other users: see the model's Drift dashboard.",
                ),
                "short",
                query(
                    f"{tokens} / on (model) group_left () ({total(REQUESTS, 'model')} > 0)",
                    "{{model}}, {{direction}}",
                ),
            ),
            graph(
                "Cost an hour by model",
                Words(
                    "US dollars, as logged, at the present rate.",
                    "In step with the tokens.",
                    "a step without one in tokens is a change of price or of the model.",
                ),
                "currencyUSD",
                query(f"3600 * {total(COST, 'model')}", "{{model}}"),
                stacked=True,
            ),
        ],
    )
