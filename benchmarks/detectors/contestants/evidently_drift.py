"""evidently's data drift."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests import get_stattest
from evidently.presets import DataDriftPreset

from benchmarks.detectors.protocol import STRIDE, WINDOW, Knob, Scored, looks
from benchmarks.detectors.streams import BINARY, CATEGORICAL, NUMERIC, Trial


class Evidently(Scored):
    """The drift score that evidently's `DataDriftPreset` gives a column, every stride.

    Its test is the one that it chooses itself for a reference of more than 1,000 rows: the
    Wasserstein distance over the reference's standard deviation, and the Jensen-Shannon distance
    for categories and few values. The score comes from the library's own function; the report
    around it, which costs many times as much, is run once for a trial and must agree. The knob is
    the drift threshold.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY, CATEGORICAL})
    knob: ClassVar = Knob("threshold", 0.1, 0.001, 10.0, exponential=True)
    memory: ClassVar[int | None] = WINDOW

    def version(self) -> str:
        """Of evidently."""
        return version("evidently")

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """The drift score of every window."""
        kind = "cat" if trial.kind == CATEGORICAL else "num"
        reference, live = column(trial, trial.reference[0]), column(trial, trial.live[0])
        test = get_stattest(reference, live[:WINDOW], kind, None)
        for end in looks(len(live), WINDOW, STRIDE):
            window = live[end - WINDOW : end]
            score = float(test(reference, window, kind, None).drift_score)
            if end == WINDOW:
                check(score, report(trial.kind, reference.to_frame("x"), window.to_frame("x")))
            yield end, score

    def look(self, trial: Trial) -> None:
        """One whole report, over all features of a trial: what its users run."""
        reference, live = (pd.DataFrame(x.T) for x in (trial.reference, trial.live[:, :WINDOW]))
        report(trial.kind, reference.add_prefix("x"), live.add_prefix("x"))

    def state(self, trial: Trial) -> object:
        """Its reference and its window."""
        return trial.reference[0].copy(), trial.live[0, :WINDOW].copy()


def column(trial: Trial, values: Any) -> pd.Series:
    """Values as evidently takes them: categories by name."""
    if trial.kind != CATEGORICAL:
        return pd.Series(values)
    return pd.Series(values.astype(int)).map("c{}".format)


def report(kind: str, reference: pd.DataFrame, window: pd.DataFrame) -> list[float]:
    """The drift scores of the columns in a report of the preset."""
    names = list(window.columns)
    categorical = kind == CATEGORICAL
    definition = DataDefinition(
        numerical_columns=[] if categorical else names,
        categorical_columns=names if categorical else [],
    )
    sets = [Dataset.from_pandas(frame, definition) for frame in (window, reference)]
    metrics = Report([DataDriftPreset()]).run(*sets).dict()["metrics"]
    return [float(m["value"]) for m in metrics if "ValueDrift" in m["metric_name"]]


def check(score: float, reported: list[float]) -> None:
    """The function that we call is the one that the report calls."""
    if not np.allclose([score], reported):
        raise AssertionError(f"evidently reports {reported}, its test gave {score}")
