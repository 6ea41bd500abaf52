"""The parts that queries are made of.

A model or a feature may be called anything. Its name goes into a query regex-escaped and between
backticks, where PromQL takes every character as it stands; between quotes Grafana's escapes would
be read a second time. A backtick itself would end the string, so the variables offer no name that
has one (`frame.NAMES`).
"""

from __future__ import annotations

SCOPE = 'job=~"$job", instance=~"$instance"'
MODEL = "model=~`${model:regex}`"
FEATURE = "feature=~`${feature:regex}`"
RATE = "$__rate_interval"
PERIOD = "30d"
"""What the false-page budget counts over by default (`alarms.per_days`)."""


def own(name: str, *matchers: str) -> str:
    """The series of one of Plumbline's metrics, of the chosen processes."""
    return everybodys(f"plumbline_{name}", *matchers)


def everybodys(name: str, *matchers: str) -> str:
    """The series of a metric that others may have as well, of the chosen processes."""
    return f"{name}{{{', '.join((SCOPE, *matchers))}}}"


def of_plumbline(selector: str) -> str:
    """Only those series whose process is a Plumbline; "all jobs" are all that Prometheus knows."""
    return f"{selector} and on (job, instance) {own('build_info')}"


def rate(name: str, *matchers: str) -> str:
    """A counter's growth a second."""
    return f"rate({own(name, *matchers)}[{RATE}])"


def increase(name: str, *matchers: str, over: str = RATE) -> str:
    """A counter's growth within a time."""
    return f"increase({own(name, *matchers)}[{over}])"


def total(expression: str, *by: str) -> str:
    """The sum over processes and whatever else is not in `by`."""
    return _aggregate("sum", expression, by)


def highest(expression: str, *by: str) -> str:
    """The maximum over processes; of a gauge that one worker at a time has."""
    return _aggregate("max", expression, by)


def quantile(q: float, histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({q:g}, {total(rate(f'{histogram}_bucket', *matchers), *by, 'le')})"


def ratio(part: str, whole: str) -> str:
    """A share; nothing where there is nothing to share."""
    return f"{part} / ({whole} > 0)"


def events(*matchers: str) -> str:
    """Drift events within the budget's period, by series.

    A series is born with its first event, which `increase` cannot see; so its first value is added
    where it was not there when the period began.
    """
    grown = increase("drift_events_total", *matchers, over=PERIOD)
    first = f"min_over_time({own('drift_events_total', *matchers)}[{PERIOD}])"
    before = f"increase({own('drift_events_total', *matchers)}[1h] offset {PERIOD})"
    return f"{first} + ({grown} unless {before}) or {grown}"


def severity(*matchers: str) -> str:
    """Open alarms as numbers: 1 a warning, 2 critical, 0 what has been resolved."""
    critical = own("drift_active", *matchers, 'severity="critical"')
    warning = own("drift_active", *matchers, 'severity="warning"')
    return f"2 * {critical} or {warning}"


def values_of(label: str, selector: str) -> str:
    """The query of a variable."""
    return f"label_values({selector}, {label})"


def _aggregate(operator: str, expression: str, by: tuple[str, ...]) -> str:
    return f"{operator} by ({', '.join(by)}) ({expression})" if by else f"{operator}({expression})"
