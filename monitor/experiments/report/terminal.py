"""The cards of an experiment as text: one for each variant, then what to consider."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.events.wording.drift import printable
from monitor.events.wording.experiments import share
from monitor.experiments.decisions.result import Arm, Result
from monitor.experiments.report.wording import (
    breached_text,
    cautions,
    comparison_verdict,
    decided_text,
    doubts,
    effect_text,
    mean_text,
    srm_text,
    time_text,
    users_text,
    verdict_parts,
)

MAX_NAME_CHARS = 60


def card_text(result: Result) -> str:
    """Return the report of an experiment for a terminal, with a final line break."""
    return "\n".join(map(printable, _lines(result))) + "\n"


def _lines(result: Result) -> Iterator[str]:
    criteria = result.criteria
    yield f"Experiment {_name(result.experiment)}: look at {time_text(result.time)}"
    better = f"{criteria.direction} is better"
    yield (
        f"Goal {_name(result.goal)}, {better}; smallest effect that matters"
        f" {share(criteria.mde)}; alpha {share(criteria.alpha)}"
    )
    control = result.arms[0]
    yield f"Control {_name(control.variant)}: {users_text(control)}"
    yield from (f"Caution: {text}." for text in doubts(result))
    for arm in result.arms[1:]:
        yield ""
        yield from _card(result, arm)
    yield ""
    if result.srm.status == "ok":
        yield srm_text(result) + "."
    warned = cautions(result)
    if warned:
        yield "To consider:"
        yield from (f"  - {text}" for text in warned)
    for phase in result.archive:
        verdicts = ", ".join(f"{_name(d.variant)} {d.verdict}" for d in phase.decisions)
        yield f"Earlier phase until {time_text(phase.time)}: {verdicts or 'no verdict'}"


def _card(result: Result, arm: Arm) -> Iterator[str]:
    stopped = " (stopped)" if arm.stopped else ""
    finding, rest = verdict_parts(result, arm)
    yield f"{_name(arm.variant)}{stopped}: {finding.upper()}{printable(rest)}"
    yield f"  {printable(decided_text(result, arm))}"
    yield f"  {users_text(arm)}"
    if breached := breached_text(result, arm.variant):
        yield f"  {breached}"
    rows = [("metric", "control", "here", "effect", "finding")]
    for each in result.comparisons:
        if each.variant == arm.variant:
            means = mean_text(each.control_mean), mean_text(each.mean)
            role = "" if each.role == "secondary" else f" ({each.role})"
            found = comparison_verdict(each)
            rows.append((f"{_name(each.metric)}{role}", *means, effect_text(each), found))
    yield from (f"  {line}" for line in _table(rows))


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the rows in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _name(name: str) -> str:
    return printable(name[:MAX_NAME_CHARS])
