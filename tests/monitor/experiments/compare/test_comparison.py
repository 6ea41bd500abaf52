"""Verdicts by metric, unscored pairs by reason, ratings of several models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.errors import UserError
from monitor.experiments.compare.answers import Answers
from monitor.experiments.compare.comparison import (
    Criteria,
    MetricResult,
    Preferences,
    compare,
    rate,
)
from monitor.experiments.compare.matching import match
from monitor.experiments.compare.metrics import metric_of, metrics_of
from monitor.experiments.compare.report import report
from tests.monitor.experiments.compare.files import read, scored

CRITERIA = Criteria()


def compared(files: list[Answers], *names: str, **options: Any) -> dict[str, MetricResult]:
    """Return the results of the last file by metric."""
    metrics = metrics_of(files, list(map(metric_of, names)))
    found = compare(files, match(files), metrics, options.pop("criteria", CRITERIA), **options)
    return {each.name: each for each in found[-1].metrics}


def noisy(seed: int, count: int, shift: float = 0.0) -> list[float | None]:
    """Return scores of a common difficulty by prompt, with noise."""
    difficulty = np.random.default_rng(0).uniform(2, 4, count)
    values: list[float | None] = list(
        difficulty + shift + np.random.default_rng(seed).normal(0, 0.3, count)
    )
    return values


def test_a_better_score_is_better(tmp_path: Path) -> None:
    """And the other way round worse; equal ones are no difference larger than the margin."""
    base, better = noisy(1, 60), noisy(2, 60, 0.5)
    files = [read(tmp_path / "a", scored(base)), read(tmp_path / "b", scored(better))]
    found = compared(files, "score.quality")["score.quality"]
    assert (found.verdict, found.scale, found.effect_kind) == ("better", "mean", "relative")
    assert found.effect is not None
    assert found.wins is not None
    assert found.effect.lower > 0.05
    assert found.wins.rate.lower > 0.7
    assert compared(files[::-1], "score.quality")["score.quality"].verdict == "worse"
    assert compared(files, "score.quality:lower")["score.quality"].verdict == "worse"
    same = [read(tmp_path / "c", scored(base)), read(tmp_path / "d", scored(noisy(3, 60)))]
    assert compared(same, "score.quality")["score.quality"].verdict == "no_difference"
    few = [read(tmp_path / "e", scored([3.0] * 8)), read(tmp_path / "f", scored([3.0] * 8))]
    assert compared(few, "score.quality")["score.quality"].verdict == "not_yet"


def test_latency_is_compared_by_its_logarithm(tmp_path: Path) -> None:
    """The effect is a ratio of geometric means; lower is better; zeros are counted."""
    generator = np.random.default_rng(4)
    base = np.exp(generator.normal(6, 1, 50))
    lines = [{"prompt": str(i), "latency_ms": each} for i, each in enumerate(base)]
    faster = [
        {"prompt": str(i), "latency_ms": 0.5 * each * np.exp(generator.normal(0, 0.1))}
        for i, each in enumerate(base)
    ]
    faster[7]["latency_ms"] = 0.0
    del faster[8]["latency_ms"]
    faster[9]["error"] = "timeout"
    found = compared([read(tmp_path / "a", lines), read(tmp_path / "b", faster)], "latency_ms")
    latency = found["latency_ms"]
    assert (latency.verdict, latency.scale, latency.pairs) == ("better", "log", 47)
    assert latency.unscored == {"error": 1, "missing": 1, "zero": 1}
    assert latency.effect is not None
    assert latency.effect.value == pytest.approx(-0.5, abs=0.03)
    assert latency.effect.lower < latency.effect.value < latency.effect.upper < -0.4


def test_errors_are_compared_as_rates(tmp_path: Path) -> None:
    """The difference is in points, and the errors of all pairs count."""
    lines = [{"prompt": str(i), "response": "r"} for i in range(40)]
    failing = [each | ({"error": "500"} if i % 2 else {}) for i, each in enumerate(lines)]
    found = compared([read(tmp_path / "a", lines), read(tmp_path / "b", failing)])
    error = found["error"]
    assert (error.verdict, error.scale, error.pairs) == ("worse", "rate", 40)
    assert error.effect is not None
    assert error.effect.value == 0.5
    assert found["response_chars"].unscored == {"error": 20}
    assert found["response_chars"].verdict == "no_difference"


def test_unscored_is_never_zero(tmp_path: Path) -> None:
    """Pairs without a score of one side are left out, and counted."""
    scores: list[float | None] = [5.0] * 30
    half = [score if i % 2 else None for i, score in enumerate(scores)]
    found = compared([read(tmp_path / "a", scored(scores)), read(tmp_path / "b", scored(half))])
    quality = found["score.quality"]
    assert (quality.mean, quality.pairs, quality.unscored) == (5.0, 15, {"missing": 15})


def test_more_metrics_need_more_evidence(tmp_path: Path) -> None:
    """P-values are adjusted for the number of metrics and variants: no winner by trying."""
    generator = np.random.default_rng(5)
    found = 0
    for run in range(30):
        files = []
        for name in "ab":
            lines = [
                {"prompt": str(i), "scores": dict(zip("stuvwxyz", row.tolist(), strict=True))}
                for i, row in enumerate(generator.normal(3, 1, (12, 8)))
            ]
            files.append(read(tmp_path / f"{name}{run}", lines))
        names = [f"score.{letter}" for letter in "stuvwxyz"]
        verdicts = [each.verdict for each in compared(files, *names).values()]
        found += any(verdict in {"better", "worse"} for verdict in verdicts)
    assert found <= 4  # 1.5 expected; unadjusted 10


def test_a_mean_against_the_wins_is_noted(tmp_path: Path) -> None:
    """A few prompts with a large score decide the mean, while the variant loses the others."""
    base = [1.0] * 60
    other = [0.8] * 45 + [9.0] * 15
    files = [read(tmp_path / "a", scored(list(base))), read(tmp_path / "b", scored(list(other)))]
    found = compared(files, "score.quality")["score.quality"]
    assert found.verdict == "better"
    assert found.contradiction
    near = [read(tmp_path / "c", scored(list(base))), read(tmp_path / "d", scored([1.001] * 60))]
    assert compared(near, "score.quality")["score.quality"].wins.ties == 60  # type: ignore[union-attr]  # it has values


def test_a_metric_that_a_file_lacks_is_an_error(tmp_path: Path) -> None:
    """The error names the file and the features that there are."""
    lines = [{"prompt": "p", "response": "r"}]
    files = [read(tmp_path / "a", scored([3.0])), read(tmp_path / "b", lines)]
    with pytest.raises(UserError, match=r"b: has no score.quality; all files have .*response"):
        metrics_of(files, [metric_of("score.quality")])
    with pytest.raises(ValueError, match=r"NAME:higher or NAME:lower"):
        metric_of("score.quality:up")


def test_models_are_rated_by_the_goal(tmp_path: Path) -> None:
    """The order is that of their scores; the report has no number that is not finite."""
    names = {"a": 0.0, "b": 0.4, "c": -0.4}
    files = [
        read(tmp_path / name, scored(noisy(i, 40, shift)))
        for i, (name, shift) in enumerate(names.items())
    ]
    matched, goal = match(files), metric_of("score.quality")
    ratings = rate(files, matched, goal, CRITERIA)
    assert ratings is not None
    b, c = ratings.by_name["b"], ratings.by_name["c"]
    assert b is not None
    assert c is not None
    assert c.upper < 0 < b.lower
    results = compare(files, matched, [goal], CRITERIA)
    text = json.dumps(report(files, matched, CRITERIA, results, ratings), allow_nan=False)
    found = json.loads(text)
    assert found["ratings"]["models"]["a"]["rating"] == 0
    assert found["variants"]["b"]["metrics"]["score.quality"]["verdict"] == "better"
    assert rate(files, matched, None, CRITERIA) is None


def test_preferences_of_a_judge_are_compared_and_rated(tmp_path: Path) -> None:
    """The win rate less a half is the effect; unscored pairs are counted; a winner of everything
    has no upper bound in the report."""
    files = [read(tmp_path / name, scored([3.0] * 30)) for name in "ab"]
    outcomes = np.ones(30)
    outcomes[:2] = np.nan
    judged = ("judge.tone", {(0, 1): Preferences(outcomes, {"timeout": 2})})
    matched = match(files)
    (variant,) = compare(files, matched, [], CRITERIA, judged)
    (tone,) = variant.metrics
    assert (tone.verdict, tone.pairs, tone.unscored) == ("better", 28, {"timeout": 2})
    assert tone.effect is not None
    assert tone.effect.value == 0.5
    ratings = rate(files, matched, None, CRITERIA, judged)
    found = report(files, matched, CRITERIA, [variant], ratings)["ratings"]
    assert found["goal"] == "judge.tone"
    assert found["models"]["b"]["upper"] is None
    assert found["models"]["b"]["win_rate_upper"] == 1.0
    assert found["models"]["b"]["lower"] > 100
