"""The summary of an experiment in the JSON report of `backtest` and `demo`."""

from __future__ import annotations

from typing import Any

from monitor.experiments.decisions.result import Result


def summary(result: Result) -> dict[str, Any]:
    """Return the result as report["experiments"][NAME].

    Verdicts and metrics are those of the variants against the control, the first variant. A number
    that does not exist is None.
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
    }
