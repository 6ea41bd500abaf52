"""Metric families of experiments. A number that does not exist yet has no sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

from monitor.experiments.decisions.result import Comparison, Guardrail, Result
from monitor.telemetry.counters.experiments import ExperimentMetrics
from monitor.telemetry.families.build import by_label, counter, gauge

DAY_SECONDS = 86_400.0
_ARM = ("experiment", "variant")
_COMPARED = (*_ARM, "metric")


def experiment_families(m: ExperimentMetrics) -> Iterator[Metric]:
    """Yield the families by experiment and variant; verdicts and guardrails first."""
    results = list(m.results.values())
    compared = [(result, each) for result in results for each in result.comparisons]
    yield counter("experiment_looks", ["experiment"], by_label(m.looks))
    yield counter("experiment_exposures", ["experiment"], by_label(m.exposures))
    yield counter("experiment_exposures_ignored", ["reason"], by_label(m.ignored))
    last = {(r.experiment,): r.time for r in results}
    yield gauge("experiment_last_look_timestamp_seconds", ["experiment"], last)
    yield from _findings(results, compared)
    yield gauge(
        "experiment_srm_evalue", ["experiment"], {(r.experiment,): r.srm.e_value for r in results}
    )
    several = {(r.experiment,): float(r.in_several_arms) for r in results}
    yield gauge("experiment_users_in_several_variants", ["experiment"], several)
    yield from _arms(results)
    yield from _numbers(results, compared)


def _findings(
    results: Iterable[Result], compared: Iterable[tuple[Result, Comparison]]
) -> Iterator[Metric]:
    """Yield what alerts use: of each set of states, the one that holds has a sample."""
    goals = {(r.experiment, r.goal): 1.0 for r in results}
    yield gauge("experiment_goal", ["experiment", "metric"], goals)
    status = {(r.experiment, r.srm.status): 1.0 for r in results}
    yield gauge("experiment_srm_status", ["experiment", "status"], status)
    verdicts = {
        (r.experiment, each.variant, each.metric, each.verdict): 1.0
        for r, each in compared
        if each.role != "guardrail"
    }
    yield gauge("experiment_verdict", [*_COMPARED, "verdict"], verdicts)
    guardrails = {
        (r.experiment, each.variant, each.metric, guardrail_state(each.guardrail)): 1.0
        for r, each in compared
        if each.guardrail is not None
    }
    yield gauge("experiment_guardrail", [*_COMPARED, "state"], guardrails)


def guardrail_state(guardrail: Guardrail) -> str:
    """Return the state of a guardrail: harm, safe, both or unknown."""
    if guardrail.harm is not None:
        return "harm" if guardrail.safe is None else "both"
    return "unknown" if guardrail.safe is None else "safe"


def _arms(results: Iterable[Result]) -> Iterator[Metric]:
    arms = [(r.experiment, arm.variant, arm) for r in results for arm in r.arms]
    yield gauge("experiment_users", _ARM, {(e, v): float(arm.users) for e, v, arm in arms})
    yield gauge("experiment_requests", _ARM, {(e, v): float(arm.requests) for e, v, arm in arms})
    effective = {(e, v): arm.n_eff for e, v, arm in arms if arm.n_eff is not None}
    yield gauge("experiment_effective_users", _ARM, effective)
    largest = {(e, v): arm.largest_bucket for e, v, arm in arms if arm.largest_bucket is not None}
    yield gauge("experiment_largest_bucket_ratio", _ARM, largest)
    seconds = {
        (e, v): DAY_SECONDS * arm.days_to_go for e, v, arm in arms if arm.days_to_go is not None
    }
    yield gauge("experiment_time_to_verdict_seconds", _ARM, seconds)


def _numbers(
    results: Iterable[Result], compared: Iterable[tuple[Result, Comparison]]
) -> Iterator[Metric]:
    means: dict[tuple[str, str, str], float] = {}
    shares: dict[tuple[str, str, str], float] = {}
    effects: dict[str, dict[tuple[str, str, str], float]] = {"": {}, "_lower": {}, "_upper": {}}
    for result, each in compared:
        control = (result.experiment, result.control, each.metric)
        key = (result.experiment, each.variant, each.metric)
        for values, numbers in (
            (means, {control: each.control_mean, key: each.mean}),
            (shares, {control: each.control_share, key: each.share}),
            (effects[""], {key: each.effect}),
            (effects["_lower"], {key: each.lower}),
            (effects["_upper"], {key: each.upper}),
        ):
            values.update({k: number for k, number in numbers.items() if number is not None})
    yield gauge("experiment_mean", _COMPARED, means)
    for suffix, values in effects.items():
        yield gauge(f"experiment_effect{suffix}", _COMPARED, values)
    yield gauge("experiment_value_ratio", _COMPARED, shares)
