"""The metrics of an offline comparison: which there are, and how each is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.config.sections.experiments.metrics import LOG_FEATURES, LOWER_IS_BETTER
from monitor.errors import UserError
from monitor.experiments.compare.answers import Answers
from monitor.experiments.design import Direction

Mask = NDArray[np.bool_]

OF_THE_PROMPT: Final = frozenset({"prompt_chars", "input_tokens"})
"""Features that equal prompts share; they are compared on request only."""


@dataclass(frozen=True, slots=True)
class CompareMetric:
    """A feature to compare, and which values are better."""

    name: str
    direction: Direction

    @property
    def sign(self) -> int:
        """1 if higher values are better, -1 if lower ones are."""
        return 1 if self.direction == "higher" else -1

    @property
    def logarithmic(self) -> bool:
        """Whether logarithms are compared, so that the effect is a ratio of geometric means."""
        return self.name in LOG_FEATURES


def metric_of(text: str) -> CompareMetric:
    """Return the metric of an option: NAME, NAME:higher or NAME:lower.

    Raises ValueError for another word after the colon.
    """
    name, colon, word = text.rpartition(":")
    if not colon:
        return CompareMetric(text, "lower" if text in LOWER_IS_BETTER else "higher")
    if word == "higher":
        return CompareMetric(name, "higher")
    if word == "lower":
        return CompareMetric(name, "lower")
    raise ValueError(f"{text!r}: must be NAME, NAME:higher or NAME:lower")


def metrics_of(files: Sequence[Answers], wanted: Sequence[CompareMetric]) -> list[CompareMetric]:
    """Return the wanted metrics; by default all features of which each file has values.

    Raises UserError if a file has no value of a wanted one.
    """
    common = [name for name in files[0].values if all(_has(each, name) for each in files)]
    for metric in wanted:
        if metric.name not in common:
            without = next(each for each in files if not _has(each, metric.name))
            known = ", ".join(sorted(common)) or "none"
            raise UserError(f"{without.source}: has no {metric.name}; all files have {known}")
    if wanted:
        return list(wanted)
    return [metric_of(name) for name in sorted(common) if name not in OF_THE_PROMPT]


def _has(file: Answers, name: str) -> bool:
    return name in file.values and not np.isnan(file.values[name]).all()


def value_reasons(
    metric: CompareMetric, control: Floats, treatment: Floats, failed: Floats
) -> dict[str, Mask]:
    """Return why pairs have no value: reason -> shape (pairs,), in order of precedence.

    failed: pairs of which an answer is an error.
    """
    missing = np.isnan(control) | np.isnan(treatment)
    reasons = {"error": missing & (failed > 0), "missing": missing}
    if metric.logarithmic:
        reasons["zero"] = (control <= 0) | (treatment <= 0)
    return reasons


def count_reasons(reasons: Mapping[str, Mask], pairs: int) -> tuple[dict[str, int], Mask]:
    """Return the number of pairs by their first reason, and which pairs have none."""
    left: Mask = np.ones(pairs, np.bool_)
    found = {}
    for name, mask in reasons.items():
        hit = left & mask
        if hit.any():
            found[name] = int(hit.sum())
        left = left & ~hit
    return found, left
