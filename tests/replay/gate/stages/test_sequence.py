"""The order of stages, and the outcome of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor.errors import UserError
from replay.gate.criteria.model import Canary, Criteria
from replay.gate.criteria.parsing import parse
from replay.gate.outcome import GateResult, Origin, Outcome
from replay.gate.stages.canary import Reading
from replay.gate.stages.people import draw
from replay.gate.stages.sequence import Inputs, run_gate
from replay.results import TaskScores
from tests.replay.gate.criteria.data import content
from tests.replay.gate.scores import draws, scores, write
from tests.replay.gate.stages.test_canary import FakeClock
from tests.replay.gate.stages.test_people import write as write_labels

N = 1000


def results(folder: Path, n: int = N, drop: float = 0.0, **kinds: Any) -> dict[str, Any]:
    """Write scores of both sides; return the keys of criteria that name them."""
    candidate, baseline = draws(n, 0.8, drop)
    new = scores(candidate, responses=[f"new {i}" for i in range(n)], **kinds)
    return {
        "candidate": {"results": str(write(folder / "new.jsonl", new))},
        "baseline": {"results": str(write(folder / "old.jsonl", scores(baseline)))},
    }


def gate(
    folder: Path,
    criteria: Criteria,
    reading: Reading | None = None,
    labels: Path | None = None,
    **more: Any,
) -> GateResult:
    """Run a gate on results that exist."""

    def canary(_: Canary) -> Reading:
        assert reading is not None
        return reading

    def stored(run: str) -> tuple[TaskScores, ...]:
        raise UserError(f"no run {run}")

    inputs = Inputs(
        folder=folder,
        samples=((), ()),
        checks=more.pop("checks", {}),
        stored=stored,
        canary=canary,
        labels=labels,
        clock=FakeClock(),
        time=iter(range(100)).__next__,
    )
    return run_gate(criteria, "ab" * 32, inputs, Origin(actor="ana"), **more)


def outcomes(result: GateResult) -> list[str]:
    """Return the outcomes of the stages."""
    return [stage.outcome for stage in result.stages]


@pytest.mark.parametrize(
    ("n", "drop", "expected", "outcome"),
    [
        (1000, 0.0, ["inconclusive", "passed"], "passed"),
        (1000, 0.07, ["inconclusive", "regressed"], "regressed"),
        (1000, 0.5, ["regressed", "not_run"], "regressed"),
        (60, 0.05, ["inconclusive", "inconclusive"], "inconclusive"),
    ],
)
def test_larger_tiers_decide_what_smaller_ones_cannot(
    tmp_path: Path, n: int, drop: float, expected: list[str], outcome: Outcome
) -> None:
    """A failure ends the gate; an inconclusive tier gives way to the next one."""
    criteria = parse(content(**results(tmp_path, n, drop), tiers={"L0": 40, "L1": 1000}))
    found = gate(tmp_path, criteria)
    assert outcomes(found) == expected
    assert found.outcome == outcome
    assert found.exit_status == {"passed": 0, "regressed": 1, "inconclusive": 3}[outcome]
    assert found.stages[0].checks[0].items == min(n, 40)
    assert found.stages[0].seconds == 1.0


def test_a_gate_can_end_early_on_purpose(tmp_path: Path) -> None:
    """`until` leaves later stages out, and the level of the criteria remains."""
    criteria = parse(content(**results(tmp_path)))
    assert outcomes(gate(tmp_path, criteria, until="L0")) == ["inconclusive"]


def test_broken_scores_end_the_gate_with_their_reason(tmp_path: Path) -> None:
    """Too many failed answers are an error, never a regression; later stages do not run."""
    criteria = parse(content(**results(tmp_path, failed=200)))
    found = gate(tmp_path, criteria)
    assert outcomes(found) == ["error", "not_run"]
    assert found.stages[0].reason == "invalid_responses"
    assert (found.outcome, found.exit_status) == ("error", 2)
    with pytest.raises(UserError, match="no run run-1"):
        gate(tmp_path, parse(content(candidate={"run": "run-1"})))


CANARY = {"url": "http://localhost:9464", "experiment": "new", "variant": "v2"}


@pytest.mark.parametrize(("verdict", "outcome"), [("better", "passed"), ("worse", "regressed")])
def test_the_canary_comes_last(tmp_path: Path, verdict: Any, outcome: Outcome) -> None:
    """After the tiers, the experiment decides; a gate that failed before does not wait for it."""
    stages = {"stages": ["L1", "canary"], "tiers": {"L1": 1000}, "canary": CANARY}
    found = gate(tmp_path, parse(content(**results(tmp_path), **stages)), Reading(verdict=verdict))
    assert outcomes(found) == ["passed", outcome]
    assert found.outcome == outcome
    (tmp_path / "bad").mkdir()
    failing = parse(content(**results(tmp_path / "bad", drop=0.3), **stages))
    assert outcomes(gate(tmp_path, failing)) == ["regressed", "not_run"]


@pytest.mark.parametrize(
    ("wins", "losses", "outcome"),
    [(40, 30, "passed"), (10, 80, "regressed"), (30, 34, "inconclusive")],
)
def test_people_decide_with_labels(
    tmp_path: Path, wins: int, losses: int, outcome: Outcome
) -> None:
    """Without labels the pairs are exported; with them the shares of won and lost decide."""
    criteria = parse(
        content(
            **results(tmp_path),
            stages=["L1", "L3"],
            tiers={"L1": 1000, "L3": 100},
            people={"margin": 0.15},
        )
    )
    waiting = gate(tmp_path, criteria)
    assert outcomes(waiting) == ["passed", "inconclusive"]
    assert waiting.exit_status == 3
    assert "100 pairs wait for labels" in waiting.stages[1].detail
    assert len((tmp_path / "people.jsonl").read_text().splitlines()) == 100
    sides = [tuple(_given(tmp_path, name)) for name in ("new", "old")]
    labels = []
    for number, pair in enumerate(draw(sides[0], sides[1], 100)):
        won = "first" if pair.candidate_first else "second"
        lost = "second" if pair.candidate_first else "first"
        better = won if number < wins else lost if number < wins + losses else "tie"
        labels.append({"pair": pair.pair, "better": better})
    found = gate(tmp_path, criteria, labels=write_labels(tmp_path, *labels))
    assert outcomes(found) == ["passed", outcome]
    (check,) = found.stages[1].checks
    assert check.effect == pytest.approx((wins - losses) / 100)
    some = gate(tmp_path, criteria, labels=write_labels(tmp_path, *labels[:90]))
    assert some.stages[1].detail == "10 of 100 pairs have no label"


def test_checks_of_answers_use_the_responses_of_the_run(tmp_path: Path) -> None:
    """Without records, a check reads the answers and prompts of the run."""
    dimensions = {"format": {"measure": "check.new", "at_least": 0.9}} | {
        "quality": {"tasks": ["support"], "margin": 0.05}
    }
    criteria = parse(content(**results(tmp_path), dimensions=dimensions, stages=["L1"]))
    seen = []

    def check(sample: Any) -> float:
        seen.append(sample.prompt)
        return float(sample.response.startswith("new"))

    found = gate(tmp_path, criteria, checks={"new": check})
    by_name = {check.name: check for check in found.stages[0].checks}
    assert by_name["format at least"].outcome == "passed"
    assert by_name["format at least"].items == 500
    assert seen[0].startswith("question ")


def _given(folder: Path, name: str) -> tuple[TaskScores, ...]:
    from replay.gate.stages.kept import read_scores

    return read_scores(folder / f"{name}.jsonl")
