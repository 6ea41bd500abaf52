"""The traffic of the selected models: requests, errors, latency, tokens and cost."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, graph, limits, query
from grafana.dashboards.elements.promql import MODEL, metric, quantile, rate, ratio, total

ERRORS = limits(warning=0.01, critical=0.05)
REQUESTS = rate("inference_requests_total", MODEL)
FAILED = rate("inference_requests_total", MODEL, 'status="error"')
COST = rate("inference_cost_usd_total", MODEL)


def row() -> Row:
    """Return the row of requests, errors, latency and lag."""
    quantiles = [_latency(name, q) for name, q in (("median", 0.5), ("95th percentile", 0.95))]
    return Row("Traffic", [_requests(), _errors(), *quantiles, _mean_latency(), _lag()])


def _requests() -> Timeseries:
    return graph(
        "Requests by model",
        Description(
            "Inferences logged per second.",
            "The daily cycle of each model.",
            "A drop to zero is an outage of the model, or of its log.",
            "PlumblineModelSilent",
        ),
        "reqps",
        query(total(REQUESTS, "model"), "{{model}}"),
    )


def _errors() -> Timeseries:
    return graph(
        "Errors by model",
        Description(
            "Share of the inferences that were logged with an error.",
            "Below 1 %.",
            "Check the model's provider. The feature `error` is also checked for drift.",
        ),
        "percentunit",
        query(ratio(total(FAILED, "model"), total(REQUESTS, "model")), "{{model}}"),
        thresholds=ERRORS,
    )


def _latency(name: str, q: float) -> Timeseries:
    return graph(
        f"Latency, {name}",
        Description(
            "Time from request to answer, as logged. It is estimated from a histogram with buckets"
            " from 50 ms to 120 s, so its precision is the width of a bucket.",
            "Constant for each model.",
            "A step without a step in output tokens comes from the provider; a step in both comes"
            " from the prompts.",
        ),
        "s",
        query(quantile(q, "inference_latency_seconds", MODEL, by=("model",)), "{{model}}"),
    )


def _mean_latency() -> Timeseries:
    mean = ratio(
        total(rate("inference_latency_seconds_sum", MODEL), "model"),
        total(rate("inference_latency_seconds_count", MODEL), "model"),
    )
    return graph(
        "Latency, mean",
        Description(
            "Mean time from request to answer, as logged.",
            "Between the median and the 95th percentile.",
            "A mean far above the median means that a few answers are very slow.",
        ),
        "s",
        query(mean, "{{model}}"),
    )


def _lag() -> Timeseries:
    return graph(
        "Lag",
        Description(
            "Messages of the log topics and the feature topic that have not been read.",
            "Near zero with short peaks.",
            "If it keeps growing, start more processes (docs/scaling.md).",
            "PlumblineConsumerLagGrowing",
        ),
        "short",
        query(total(metric("consumer_lag_records"), "topic"), "{{topic}}"),
    )


def usage() -> Row:
    """Return the row of tokens and cost."""
    tokens = total(rate("inference_tokens_total", MODEL), "model", "direction")
    return Row(
        "Tokens and cost",
        [
            graph(
                "Tokens per second",
                Description(
                    "Logged tokens, read (input) and generated (output).",
                    "Proportional to the requests.",
                    "Tokens per request shows which of the two has grown.",
                ),
                "short",
                query(tokens, "{{model}}, {{direction}}"),
            ),
            graph(
                "Tokens per request",
                Description(
                    "Mean number of tokens of a request and of its answer.",
                    "Constant for each model.",
                    "A step means a new prompt or different users: see the model's Drift"
                    " dashboard.",
                ),
                "short",
                query(
                    f"{tokens} / on (model) group_left () ({total(REQUESTS, 'model')} > 0)",
                    "{{model}}, {{direction}}",
                ),
            ),
            graph(
                "Cost per hour by model",
                Description(
                    "Logged cost in US dollars, at the current rate.",
                    "Proportional to the tokens.",
                    "A step without a step in tokens is a change of price, or of the model.",
                ),
                "currencyUSD",
                query(f"3600 * {total(COST, 'model')}", "{{model}}"),
                stacked=True,
            ),
        ],
    )
