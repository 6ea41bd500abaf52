"""The summary of an experiment in the JSON report of `backtest` and `demo`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.experiments.decisions.result import Result
from monitor.experiments.report.wording import is_breached


def summary(result: Result) -> dict[str, Any]:
    """Return the result as report["experiments"][NAME].

    Verdicts and metrics are those of the variants against the control, the first variant. A number
    that does not exist is None. "breached" has the guardrails that a variant breaches; "in_doubt"
    has the variants whose verdict is in doubt, because the split of users is wrong now.
    """
    metrics: dict[str, dict[str, Any]] = {}
    for each in result.comparisons:
        metrics.setdefault(each.metric, {})[each.variant] = {
            "mean": each.mean,
            "control_mean": each.control_mean,
            "effect": each.effect,
            "lower": each.lower,
            "upper": each.upper,
            "p_value": each.p_value,
        }
    breached = {
        arm.variant: [
            each.metric
            for each in result.comparisons
            if each.variant == arm.variant and is_breached(each.guardrail)
        ]
        for arm in result.arms[1:]
    }
    return {
        "verdicts": {arm.variant: arm.verdict for arm in result.arms[1:]},
        "goal": result.goal,
        "variants": {
            arm.variant: {"users": arm.users, "n_eff": arm.n_eff, "requests": arm.requests}
            for arm in result.arms
        },
        "metrics": metrics,
        "srm": {
            "e_value": result.srm.e_value,
            "p_value": result.srm.p_value,
            "status": result.srm.status,
        },
        "breached": {variant: names for variant, names in breached.items() if names},
        "in_doubt": [arm.variant for arm in result.arms if arm.in_doubt],
    }


def summaries(results: Mapping[str, Result]) -> dict[str, Any]:
    """Return the summaries of experiments by name, with the records that lack their unit."""
    return {
        name: summary(each) | {"records_without_unit": each.without_unit}
        for name, each in results.items()
    }
