"""The data drift test of evidently."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests import get_stattest
from evidently.presets import DataDriftPreset

from benchmarks.detectors.protocol import STRIDE, WINDOW, Knob, ScoreBased, evaluation_points
from benchmarks.detectors.streams import BINARY, CATEGORICAL, NUMERIC, Trial


class Evidently(ScoreBased):
    """The drift score of a column by evidently's `DataDriftPreset`, at every stride.

    The preset selects the test. For a reference of more than 1,000 rows this is the Wasserstein
    distance divided by the standard deviation of the reference, or the Jensen-Shannon distance for
    categories and few distinct values. The score comes from the function of the library. The
    report around it costs many times as much and is run once per trial to verify that it agrees.
    The knob is the drift threshold.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY, CATEGORICAL})
    knob: ClassVar = Knob("threshold", 0.1, 0.001, 10.0, exponential=True)
    memory: ClassVar[int | None] = WINDOW

    def version(self) -> str:
        """Return the version of evidently."""
        return version("evidently")

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """Yield the drift score of every window."""
        kind = "cat" if trial.kind == CATEGORICAL else "num"
        reference, live = column(trial, trial.reference[0]), column(trial, trial.live[0])
        test = get_stattest(reference, live[:WINDOW], kind, None)
        for end in evaluation_points(len(live), WINDOW, STRIDE):
            window = live[end - WINDOW : end]
            score = float(test(reference, window, kind, None).drift_score)
            if end == WINDOW:
                check(score, report(trial.kind, reference.to_frame("x"), window.to_frame("x")))
            yield end, score

    def run_report(self, trial: Trial) -> None:
        """Run one complete report over all features of a trial, as users do."""
        reference, live = (pd.DataFrame(x.T) for x in (trial.reference, trial.live[:, :WINDOW]))
        report(trial.kind, reference.add_prefix("x"), live.add_prefix("x"))

    def state(self, trial: Trial) -> object:
        """Return reference and window."""
        return trial.reference[0].copy(), trial.live[0, :WINDOW].copy()


def column(trial: Trial, values: Any) -> pd.Series:
    """Return the values as a column for evidently, categories as names."""
    if trial.kind != CATEGORICAL:
        return pd.Series(values)
    return pd.Series(values.astype(int)).map("c{}".format)


def report(kind: str, reference: pd.DataFrame, window: pd.DataFrame) -> list[float]:
    """Return the drift scores of the columns in a report of the preset."""
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
    """Verify that the score equals the one in the report."""
    if not np.allclose([score], reported):
        raise AssertionError(f"evidently reports {reported}, but its test returned {score}")
