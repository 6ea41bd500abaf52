"""Verdicts of the experiments of a report, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monitor.events.wording.experiments import interval, p_text, percent
from monitor.experiments.report.wording import count

_VERDICTS = {"no_difference": "no difference", "not_yet": "no verdict yet"}
_SPLITS = {
    "warn": "the split of users may differ from the plan",
    "block": "the split of users differs from the plan, which blocks verdicts",
}


def lines(experiments: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each variant but the control. experiments: as in a report.

    A line names what the verdict alone hides: a wrong split of users, and breached guardrails.
    """
    for name, found in sorted(experiments.items()):
        for variant in found["verdicts"]:
            line = f"experiment {name}: {variant}: {verdict(found, variant)}"
            goal = found["metrics"].get(found["goal"], {}).get(variant)
            if goal is not None and goal["effect"] is not None:
                bounds = interval(goal["lower"], goal["upper"])
                line += f", {found['goal']} {percent(goal['effect'])} ({bounds})"
            users = found["variants"].get(variant, {}).get("users", 0)
            warned = [breached(found, variant), *doubts(found)]
            yield "; ".join([f"{line}, {count(users, 'user')}", *filter(None, warned)])


def verdict(found: Mapping[str, Any], variant: str) -> str:
    """Return the verdict of a variant in words. found: an experiment of a report."""
    given = found["verdicts"][variant]
    doubt = " (in doubt)" if variant in found["in_doubt"] else ""
    return f"{_VERDICTS.get(given, given)}{doubt}"


def breached(found: Mapping[str, Any], variant: str) -> str:
    """Return which guardrails a variant breaches, "" if none."""
    names = found["breached"].get(variant)
    return f"breached guardrails: {', '.join(names)}" if names else ""


def doubts(found: Mapping[str, Any]) -> list[str]:
    """Return why the verdicts of an experiment cannot be trusted."""
    split = _SPLITS.get(found["srm"]["status"])
    return [f"{split} ({p_text(found['srm']['p_value'])})"] if split else []
