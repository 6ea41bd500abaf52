"""The lines of experiments in the output of `backtest`."""

from __future__ import annotations

from typing import Any

from monitor.cli.console import experiment_text

GOAL = {"mean": 11, "control_mean": 10, "effect": 0.1, "lower": 0.05, "upper": 0.15, "p_value": 0.0}
FOUND: dict[str, Any] = {
    "verdicts": {"treatment": "better"},
    "goal": "score.quality",
    "variants": {
        "control": {"users": 900, "n_eff": 800.0, "requests": 900},
        "treatment": {"users": 1, "n_eff": None, "requests": 1},
    },
    "metrics": {"score.quality": {"treatment": GOAL}},
    "srm": {"e_value": 1.0, "p_value": 0.5, "status": "ok"},
    "breached": {},
    "in_doubt": [],
}


def line(**other: Any) -> str:
    """Return the line of the treatment."""
    (found,) = experiment_text.lines({"prompt": FOUND | other})
    return found


def test_a_sound_verdict_is_one_short_line() -> None:
    """Nothing is named that is as it should be."""
    assert line() == (
        "experiment prompt: treatment: better, score.quality +10.0 % (+5.0 % to +15.0 %), 1 user"
    )


def test_a_breached_guardrail_and_a_wrong_split_are_named() -> None:
    """The verdict alone hides both."""
    wrong = {"e_value": 5000.0, "p_value": 0.0002, "status": "block"}
    found = line(breached={"treatment": ["cost_usd", "error"]}, srm=wrong, in_doubt=["treatment"])
    assert "treatment: better (in doubt)" in found
    assert "; breached guardrails: cost_usd, error; the split of users differs" in found
    assert found.endswith("which blocks verdicts (p 0.0002)")
    assert "may differ from the plan (p 0.0002)" in line(srm=wrong | {"status": "warn"})
