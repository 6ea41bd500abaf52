"""The work of the judge role: samples, results without a score, calls and their cost."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, graph, limits, query
from grafana.dashboards.elements.promql import increase, metric, rate, ratio, total

_NO_SCORE = rate("judge_unscored_total")
_SCORED = total(rate("judge_score_count"))
_RESULTS = f"(({_SCORED} or vector(0)) + {total(_NO_SCORE)})"
UNSCORED = ratio(total(_NO_SCORE), _RESULTS)
"""Share of the results of uniform samples that are no score."""
SENT = 'outcome!="no_budget"'
"""A call that the budget does not cover is counted and not sent."""
_CALLS = rate("judge_calls_total", SENT)
_UNANSWERED = rate("judge_calls_total", SENT, 'outcome!="answered"')
FAILURES = ratio(f"({total(_UNANSWERED)} or 0 * {total(_CALLS)})", total(_CALLS))
"""Share of calls without an answer."""


def samples() -> Row:
    """Return the row of samples and their results."""
    return Row("Samples", [_outcomes(), _unscored(), _waiting()])


def calls() -> Row:
    """Return the row of calls to judges and of the budget."""
    return Row("Calls and cost", [_calls(), _failures(), _cost(), _budget(), _daily()])


def _outcomes() -> Timeseries:
    return graph(
        "Samples by outcome",
        Description(
            "Samples per second that the judge role has read: judged, left out to make the budget"
            " last (paced), the same request again (repeated), or unreadable.",
            "Nearly all judged. Repeated after a rebalance.",
            "Paced: the budget is smaller than the sampled traffic. Unreadable: another version"
            " writes samples.",
        ),
        "cps",
        query(total(rate("judge_samples_total"), "outcome"), "{{outcome}}"),
        stacked=True,
    )


def _unscored() -> Timeseries:
    share = f"{total(_NO_SCORE, 'reason')} / on () group_left () ({_RESULTS} > 0)"
    return graph(
        "Results without a score, by reason",
        Description(
            "Share of the results of uniform samples that are no score, by reason. They are in no"
            " mean.",
            "Below 5 % together.",
            "The runbook has an action for each reason.",
            "PlumblineJudgeUnscored",
        ),
        "percentunit",
        query(share, "{{reason}}"),
        thresholds=limits(critical=0.2),
        stacked=True,
    )


def _waiting() -> Timeseries:
    return graph(
        "Samples waiting and in flight",
        Description(
            "Samples that have not been read, and samples that are being judged.",
            "Waiting near zero; in flight below the bound of the processes.",
            "If waiting grows, the judges are too slow: raise `judges.client.concurrency`, or start"
            " more processes.",
            "PlumblineConsumerLagGrowing",
        ),
        "none",
        query(total(metric("consumer_lag_records", 'topic=~".+[.]samples"')), "waiting"),
        query(total(metric("judge_in_flight")), "in flight"),
    )


def _calls() -> Timeseries:
    return graph(
        "Calls by judge and outcome",
        Description(
            "Calls to judges per second, answered or with the reason why there is no answer.",
            "Answered; other outcomes are rare.",
            "Unavailable: the log has the status of the provider. Timeout: the provider is slow or"
            " overloaded.",
            "PlumblineJudgeDown",
        ),
        "reqps",
        query(total(rate("judge_calls_total"), "judge", "outcome"), "{{judge}}, {{outcome}}"),
        stacked=True,
    )


def _failures() -> Timeseries:
    answered = total(rate("judge_calls_total", 'outcome="answered"'), "judge")
    every = total(_CALLS, "judge")
    return graph(
        "Calls without an answer, by judge",
        Description(
            "Share of the calls to each judge that have no usable answer.",
            "Below 1 %.",
            "If all judges fail, check the network and the key. If one fails, check its name and"
            " the status page of its provider.",
            "PlumblineJudgeDown",
        ),
        "percentunit",
        query(f"1 - ({answered} or 0 * {every}) / ({every} > 0)", "{{judge}}"),
        thresholds=limits(critical=0.5),
    )


def _cost() -> Timeseries:
    return graph(
        "Cost per hour, by judge",
        Description(
            "Cost of the calls at the current rate, in US dollars per hour, from metered tokens.",
            "Even over the day.",
            "If the cost of a call grew, samples are longer or the cache of the provider is not"
            " used.",
        ),
        "currencyUSD",
        query(f"3600 * {total(rate('judge_cost_usd_total'), 'judge')}", "{{judge}}"),
        stacked=True,
    )


def _budget() -> Timeseries:
    return graph(
        "Budget remaining",
        Description(
            "US dollars that remain of the budget of the day, of all processes. The day ends at"
            " 00:00 UTC.",
            "Falls evenly to near zero at the end of the day.",
            "If it is spent by noon, lower `sampling.rate`, or raise `judges.budget.usd_per_day`.",
            "PlumblineJudgeBudgetLow",
        ),
        "currencyUSD",
        query(total(metric("judge_budget_remaining_usd")), "remaining"),
        width=12,
    )


def _daily() -> Timeseries:
    return graph(
        "Cost of 24 hours, by judge",
        Description(
            "Cost of the calls within 24 hours, in US dollars.",
            "At most `judges.budget.usd_per_day` in each day.",
            "A step is another judge, another rubric, or a change of the sampling rates.",
        ),
        "currencyUSD",
        query(total(increase("judge_cost_usd_total", over="1d"), "judge"), "{{judge}}"),
        stacked=True,
        width=12,
    )
