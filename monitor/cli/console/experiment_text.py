"""Verdicts of the experiments of a report, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monitor.events.wording.experiments import interval, percent

_VERDICTS = {"no_difference": "no difference", "not_yet": "no verdict yet"}


def lines(experiments: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each variant but the control. experiments: as in a report."""
    for name, found in sorted(experiments.items()):
        for variant, verdict in found["verdicts"].items():
            line = f"experiment {name}: {variant}: {_VERDICTS.get(verdict, verdict)}"
            goal = found["metrics"].get(found["goal"], {}).get(variant)
            if goal is not None and goal["effect"] is not None:
                bounds = interval(goal["lower"], goal["upper"])
                line += f", {found['goal']} {percent(goal['effect'])} ({bounds})"
            users = found["variants"].get(variant, {}).get("users", 0)
            yield f"{line}, {users:,} users"
