"""Variants of units in the configured experiments, for the command line and for HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.config.sections.base.suggestions import did_you_mean
from monitor.config.sections.experiments.section import ExperimentConfig
from monitor.errors import UserError
from monitor.experiments.assignment.assign import Assignment, assign


class UnknownExperimentError(UserError):
    """The configuration has no experiment of this name."""


class Assignments:
    """Assigns units to the variants of experiments, by the name of the experiment."""

    def __init__(self, experiments: Mapping[str, ExperimentConfig]) -> None:
        self._experiments = experiments

    def __call__(self, name: str, units: Sequence[str]) -> list[Assignment]:
        """Return the assignments of units. Raises UnknownExperimentError."""
        config = self._experiments.get(name)
        if config is None:
            hint = did_you_mean(name, self._experiments) if self._experiments else "; there is none"
            raise UnknownExperimentError(f"unknown experiment {name[:100]!r}{hint}")
        namespace = config.namespace
        return [
            assign(
                unit,
                config.variants,
                config.seed_of(name),
                coverage=config.coverage,
                namespace=(namespace.name, *namespace.range) if namespace else None,
                overrides=config.overrides,
                stopped=config.stopped,
            )
            for unit in units
        ]
