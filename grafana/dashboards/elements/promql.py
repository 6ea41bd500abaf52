"""Building blocks of PromQL queries.

Names of models and features come from logs and may contain any character. Queries contain them
regex-escaped and between backticks, because PromQL takes every character between backticks
literally; between quotes it would interpret Grafana's escapes a second time. A backtick would end
the string, so variables do not offer names that contain one (`frame.NAMES`).
"""

from __future__ import annotations

SCOPE = 'job=~"$job", instance=~"$instance"'
MODEL = "model=~`${model:regex}`"
DRIFT_TYPE = 'drift_type=~"$drift_type"'
FEATURE = f"feature=~`${{feature:regex}}`, {DRIFT_TYPE}"
"""The selected features of the selected types of drift."""
RUBRIC = 'rubric=~"$rubric"'
EXPERIMENT = "experiment=~`${experiment:regex}`"
PAGING = 'severity!="info"'
"""Alarms that page, without changes that are too small."""
RATE = "$__rate_interval"
PERIOD = "30d"
"""Period of the false-page budget by default (`alarms.per_days`)."""


def metric(name: str, *matchers: str) -> str:
    """Return the selector of a Plumbline metric, without its prefix, for the selected processes."""
    return scoped(f"plumbline_{name}", *matchers)


def scoped(name: str, *matchers: str) -> str:
    """Return the selector of any metric, by its full name, for the selected processes."""
    return f"{name}{{{', '.join((SCOPE, *matchers))}}}"


def plumbline_only(selector: str) -> str:
    """Restrict a selector to Plumbline processes: "All" jobs includes those of other programs."""
    return f"{selector} and on (job, instance) {metric('build_info')}"


def rate(name: str, *matchers: str) -> str:
    """Return the rate of a counter, per second."""
    return f"rate({metric(name, *matchers)}[{RATE}])"


def increase(name: str, *matchers: str, over: str = RATE) -> str:
    """Return the increase of a counter over a range."""
    return f"increase({metric(name, *matchers)}[{over}])"


def total(expression: str, *by: str) -> str:
    """Return the sum over processes and all labels that are not in `by`."""
    return _aggregate("sum", expression, by)


def highest(expression: str, *by: str) -> str:
    """Return the maximum over processes, for a gauge that one process at a time exports."""
    return _aggregate("max", expression, by)


def mean(expression: str, *by: str) -> str:
    """Return the mean over processes, for a gauge that each process estimates by itself."""
    return _aggregate("avg", expression, by)


def quantile(q: float, histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return the quantile `q` (0 to 1) of a histogram."""
    return f"histogram_quantile({q:g}, {total(rate(f'{histogram}_bucket', *matchers), *by, 'le')})"


def ratio(part: str, whole: str) -> str:
    """Return `part` divided by `whole`, without a value where `whole` is zero."""
    return f"{part} / ({whole} > 0)"


def events(*matchers: str) -> str:
    """Return the number of drift events within the budget's period, by series.

    A series starts with its first event, which `increase` does not count. So the query adds the
    first value of a series that did not exist at the start of the period.
    """
    increased = increase("drift_events_total", *matchers, over=PERIOD)
    first = f"min_over_time({metric('drift_events_total', *matchers)}[{PERIOD}])"
    before = f"increase({metric('drift_events_total', *matchers)}[1h] offset {PERIOD})"
    return f"{first} + ({increased} unless {before}) or {increased}"


def severity(*matchers: str) -> str:
    """Return alarms as numbers: 3 is critical, 2 a warning, 1 a small change, 0 resolved."""
    critical = metric("drift_active", *matchers, 'severity="critical"')
    warning = metric("drift_active", *matchers, 'severity="warning"')
    info = metric("drift_active", *matchers, 'severity="info"')
    return f"3 * {critical} or 2 * {warning} or {info}"


def label_values(label: str, selector: str) -> str:
    """Return the query of a variable: the values of a label."""
    return f"label_values({selector}, {label})"


def _aggregate(operator: str, expression: str, by: tuple[str, ...]) -> str:
    return f"{operator} by ({', '.join(by)}) ({expression})" if by else f"{operator}({expression})"
