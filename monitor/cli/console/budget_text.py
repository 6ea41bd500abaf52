"""Lines about the false-page budget of a model: allowed and measured rate, pages by feature."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.cli.console.forecast_text import three_digits
from monitor.detect.audit.page_costs import PageCosts
from monitor.detect.audit.self_audit import ADVICE


def headline(model: str, budget: PageCosts) -> str:
    """Return the allowed and the measured rate of false pages."""
    pages = "false page" if budget.promised == 1 else "false pages"
    line = f"{model}: budget {three_digits(budget.promised)} {pages} {_period(budget)}, "
    if budget.measured is None or budget.low is None or budget.high is None:
        return line + f"not measured: {budget.reason}"
    if not budget.contradicts and budget.days < budget.per_days:
        # An interval for the whole period would be wide, whatever the detectors do.
        found = round(budget.measured * budget.days / budget.per_days)
        line += _count(found, "false page") if found else "no false page"
        line += f" in {budget.days:,.2g} days of traffic replayed from the reference"
        return line + f" ({budget.records:,} records)"
    low, high = three_digits(budget.low), three_digits(budget.high)
    return line + (
        f"measured {three_digits(budget.measured)} (95 % interval {low} to {high}; reference "
        f"replayed for {budget.records:,} records, {budget.days:,.2g} days of traffic)"
    )


def causes(budget: PageCosts) -> Iterator[str]:
    """Yield the main causes of the false pages, if they contradict the budget."""
    if budget.contradicts:
        names = ", ".join(f"{page.feature} by {page.detector}" for page in budget.false_pages[:3])
        yield f"over budget, mostly {names}: {ADVICE}"


def costs(budget: PageCosts) -> Iterator[str]:
    """Yield the pages of each feature in the log."""
    for feature, cost in budget.features.items():
        line = f"{feature}: {_count(cost.pages, 'page')} in this log"
        if cost.per_period <= cost.pages:  # a shorter log does not show the rate of a whole period
            line += f", {three_digits(cost.per_period)} {_period(budget)} at this rate"
        yield line


def _period(budget: PageCosts) -> str:
    return f"in {budget.per_days:g} days"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
