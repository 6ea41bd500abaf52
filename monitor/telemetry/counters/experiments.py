"""Results of the experiments of one process, for its metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from monitor.experiments.decisions.result import Result


@dataclass(slots=True)
class ExperimentMetrics:
    """The last result of each experiment whose looks this process takes.

    looks: number of looks by experiment. exposures: those in the sums, by experiment.
    ignored: exposures and messages that are not in the sums, by reason.
    The caller holds the lock of `Metrics`.
    """

    results: dict[str, Result] = field(default_factory=dict)
    looks: Counter[str] = field(default_factory=Counter)
    exposures: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(
        default_factory=lambda: Counter(unreadable=0, unknown_experiment=0, other_phase=0)
    )

    def publish(self, result: Result) -> None:
        """Replace the result of an experiment."""
        name = result.experiment
        self.results[name] = result
        self.looks[name] += 1

    def remove(self, experiment: str) -> None:
        """Remove an experiment that another process owns now, or that is configured no more."""
        self.results.pop(experiment, None)
