"""What other roles publish, for tests of pages: alarms, experiments, replays, quality, runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any

from msgspec.structs import replace

from monitor.events.history import EventHistory
from monitor.events.replay import ReplayEvent
from monitor.experiments.decisions.result import Distribution, Point, Result
from monitor.telemetry.http.api import HistoryUnavailableError
from monitor.web.views.sources import Published, RunScore, RunSummary
from tests.monitor.events.drift_events import EXPLANATION, event, numbers, shares
from tests.monitor.experiments.decisions.looks import COST, SCORE, Experiment, design, normal, run
from tests.monitor.notify.replay_events import replayed
from tests.monitor.web.reviews import START

HOSTILE = (
    '<script>alert("x")</script><img src=x onerror=alert(1)>\'"&lt;{{ 7 * 7 }}\u202e\u2066\x00\x1b['
    "31m\r\u2028\ud800 \N{ARABIC LETTER ALEF}"
)
"""Markup, a template, direction marks, controls, a lone surrogate."""
MODEL = "meta/llama-3"


@cache
def result(looks: int = 6) -> Result:
    """Return the result of a simulated experiment with a verdict and a breached guardrail."""
    draw = {SCORE.name: normal((10.0, 10.6), 3.0), COST.name: normal((0.3, 0.36), 0.1)}
    outcomes = list(run(Experiment(design(guardrails=(COST,)), draw), looks=looks, users=300))
    found = outcomes[-1].result
    points: list[Point] = []
    for outcome in outcomes:
        each = outcome.result.comparison(SCORE.name, "treatment")
        assert each is not None
        points.append(
            Point(outcome.result.time, 300 * len(points), each.effect, each.lower, each.upper)
        )
    bins = Distribution(
        feature=SCORE.name,
        edges=(4.0, 7.0, 10.0, 13.0, 16.0),
        shares={"control": (0.1, 0.4, 0.4, 0.1), "treatment": (0.05, 0.35, 0.4, 0.2)},
    )
    return replace(found, history={SCORE.name: {"treatment": tuple(points)}}, distributions=(bins,))


class Roles:
    """Publishes what a test sets. problem: why topics cannot be read; "" if they can.

    model, text: name of the model of all alarms and replays, and other text from records.
    """

    def __init__(self, model: str = MODEL, text: str = "prompt") -> None:
        self.problem = ""
        self.history = EventHistory()
        self.results: dict[str, Result] = {text: replace(result(), experiment=text)}
        self.replays = [
            replayed("not_regressed", model=model, time=START - 9_000.0),
            replayed("regressed", model=model, time=START, alarm="alarm-1", feature=text),
        ]
        self.quality: dict[str, Any] = {"quality": [quality(model)], "agreement": {}}
        self._add_events(model, text)

    def _add_events(self, model: str, text: str) -> None:
        slower = {"reference": numbers(), "current": numbers(90.0, 420.0, 130.0, p99=900.0)}
        self.history.add(
            event(
                slower["reference"],
                slower["current"],
                id="alarm-1",
                alarm="alarm-1",
                model=model,
                time=START,
                explanation=EXPLANATION,
            )
        )
        before, after = shares(stop=0.9, length=0.1), shares(stop=0.6, length=0.4, **{text: 0.1})
        self.history.add(
            event(
                before,
                after,
                id="alarm-2",
                alarm="alarm-2",
                model=model,
                feature="finish_reason",
                kind="categorical",
                severity="warning",
                segment=text,
                time=START - 3_600.0,
            )
        )

    def published(self) -> Published:
        """Return the sources of an application."""
        return Published(
            history=lambda: self._read(self.history),
            quality=lambda: self._read(self.quality),
            experiments=lambda: self._read(self.results),
            replays=lambda: self._read(self.replays),
        )

    def _read(self, value: Any) -> Any:
        if self.problem:
            raise HistoryUnavailableError(self.problem)
        return value


def quality(model: str, rubric: str = "answer_quality") -> dict[str, Any]:
    """Return a row of the report of quality."""
    numbers = {"value": 3.62, "lower": 3.48, "upper": 3.77, "judged": 3.9}
    return {
        "model": model,
        "rubric": rubric,
        "corrected": True,
        "scores": 1_200,
        "labels": 84,
        "pass_rate": {
            "state": "corrected",
            "reason": "",
            "value": 0.81,
            "lower": 0.72,
            "upper": 0.88,
            "labels": 84,
            "judged": 0.9,
        },
        **numbers,
    }


class Runs:
    """Runs of a result store in memory."""

    def __init__(self, model: str = MODEL, text: str = "frozen") -> None:
        number = itertools.count(1)
        self.runs = [
            RunSummary(
                id=f"{next(number):032x}",
                model=model,
                trigger=trigger,
                state="finished",
                verdict=verdict,
                reason="",
                set_digest="5e7" * 8,
                created_at=START - 86_400.0 * age,
                finished_at=START - 86_400.0 * age + 600.0,
                scores=(
                    RunScore(text, "exact_match", 312, mean, 0.02),
                    RunScore("gsm8k", "exact_match", 200, mean - 0.1, None),
                ),
            )
            for age, (trigger, verdict, mean) in enumerate(
                [
                    ("drift", "regressed", 0.75),
                    ("schedule", "not_regressed", 0.81),
                    ("schedule", "not_regressed", 0.812),
                    ("manual", "inconclusive", 0.79),
                ]
            )
        ]

    def newest(self, model: str | None, limit: int) -> Sequence[RunSummary]:
        """Return the newest runs."""
        return [each for each in self.runs if model in {None, each.model}][:limit]

    def run(self, identity: str) -> RunSummary | None:
        """Return a run."""
        return next((each for each in self.runs if each.id == identity), None)


def replay_of(model: str, **other: Any) -> ReplayEvent:
    """Return a replay of a model."""
    return replayed(model=model, **other)
