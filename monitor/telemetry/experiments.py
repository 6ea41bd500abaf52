"""Results of the experiments of one process, for its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.experiments.decisions.result import Result


@dataclass(slots=True)
class ExperimentMetrics:
    """The last result of each experiment whose looks this process takes.

    looks: number of looks by experiment. The caller holds the lock of `Metrics`.
    """

    results: dict[str, Result] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)

    def publish(self, result: Result) -> None:
        """Replace the result of an experiment."""
        name = result.experiment
        self.results[name] = result
        self.looks[name] = self.looks.get(name, 0) + 1

    def remove(self, experiment: str) -> None:
        """Remove an experiment that another process owns now, or that is configured no more."""
        self.results.pop(experiment, None)
        self.looks.pop(experiment, None)
