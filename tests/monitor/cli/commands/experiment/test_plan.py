"""Tests of `plumbline experiment plan`."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.monitor.cli.command_line import one_line_error, read_json, run

PLAN = ("experiment", "plan")


def test_fixed_and_sequential_are_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """A sequential test needs more users for the same power, and fewer days with more traffic."""
    words = (*PLAN, "--rate", "0.05", "--mde", "0.1", "--users-per-day", "2000")
    found = read_json(capsys, *words, "--json")
    assert found["fixed"]["users"] == pytest.approx(62_000, rel=0.02)
    assert found["fixed"]["users"] < found["planned_end"]["users"] < found["sequential"]["users"]
    assert found["fixed"]["days"] == pytest.approx(found["fixed"]["users"] / 2000)
    assert run(*words) == 0
    text = capsys.readouterr().out
    for part in ("one fixed test", "sequential", "planned end", "days", f"{62_000 // 1000},"):
        assert part in text


def test_the_effect_is_in_the_unit_of_the_metric(capsys: pytest.CaptureFixture[str]) -> None:
    """A tenth of a rate of .05 is .005; the effect of a geometric mean is relative only."""
    for words, part in (
        (("--rate", "0.05", "--mde", "0.1"), "an effect of +0.005 (+10 %) with"),
        (("--mean", "-4", "--sd", "1", "--mde", "-0.1"), "an effect of -0.4 (-10 %) with"),
        (("--log-sd", "1", "--mde", "0.1"), "an effect of +10 % with"),
    ):
        assert run(*PLAN, *words) == 0
        assert part in capsys.readouterr().out


def test_more_variants_need_more_users(capsys: pytest.CaptureFixture[str]) -> None:
    """The level of each variant is a share of alpha."""
    two = read_json(capsys, *PLAN, "--mean", "4", "--sd", "1", "--json")
    words = ("--variants", "control=1,a=1,b=1", "--json")
    three = read_json(capsys, *PLAN, "--mean", "4", "--sd", "1", *words)
    assert three["alpha"] == pytest.approx(0.025)
    assert three["fixed"]["users"] > two["fixed"]["users"]


def test_returning_users_carry_less_information(capsys: pytest.CaptureFixture[str]) -> None:
    """Correlated requests of the same users are worth less than those of others."""
    one = read_json(capsys, *PLAN, "--log-sd", "0.8", "--json")
    words = ("--requests-per-user", "10", "--dispersion", "2", "--correlation", "0.3", "--json")
    many = read_json(capsys, *PLAN, "--log-sd", "0.8", *words)
    assert many["fixed"]["users"] > one["fixed"]["users"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a reference of a model with known moments."""
    folder = tmp_path_factory.mktemp("plan")
    generator = random.Random(1)  # synthetic records
    lines = [
        json.dumps(
            {
                "request_id": str(i),
                "timestamp": 1_790_000_000 + i,
                "model": "chat",
                "latency_ms": generator.lognormvariate(6.0, 0.8),
                "scores": {"quality": generator.choice([3.0, 4.0, 5.0])},
                "error": "timeout" if i % 20 == 0 else None,
            }
        )
        for i in range(2_000)
    ]
    logs = folder / "logs.jsonl"
    logs.write_text("\n".join(lines))
    references = folder / "references"
    assert run("reference", "build", "--name", "chat", "--directory", references, logs) == 0
    assert run("reference", "promote", "--directory", references, "chat", 1) == 0
    return references / "chat"


@pytest.mark.parametrize(
    ("metric", "same"),
    [
        ("latency_ms", ("--log-sd", "0.8")),
        ("score.quality", ("--mean", "4", "--sd", "0.8165")),
        ("error", ("--rate", "0.05")),
    ],
)
def test_the_variance_comes_from_the_reference_of_a_model(
    capsys: pytest.CaptureFixture[str], reference: Path, metric: str, same: tuple[str, ...]
) -> None:
    """A version file and the folder of its name give what the known moments give."""
    expected = read_json(capsys, *PLAN, *same, "--json")["fixed"]["users"]
    for path in (reference, next(reference.glob("*.ref"))):
        words = (*PLAN, "--from-reference", path, "--metric", metric, "--json")
        assert read_json(capsys, *words)["fixed"]["users"] == pytest.approx(expected, rel=0.1)


def test_a_capped_mean_needs_fewer_users_than_a_higher_cap(
    capsys: pytest.CaptureFixture[str], reference: Path
) -> None:
    """The cap bounds the variance; without one it is the 99th percentile of the reference."""
    words = (*PLAN, "--from-reference", reference, "--metric", "latency_ms.capped")
    users = [
        read_json(capsys, *words, *more, "--json")["fixed"]["users"]
        for more in (("--cap", "500"), ())
    ]
    assert users[0] < users[1]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--mean", "4"), "--mean needs --sd"),
        (("--rate", "2"), "a rate must be between 0 and 1"),
        (("--rate", "0.5", "--mde", "0"), "not a relative effect"),
        (("--rate", "0.5", "--power", "0.01"), "power must be between alpha and 0.9999"),
        (("--rate", "0.5", "--correlation", "2"), "correlation must be between 0 and 1"),
        (("--from-reference", "x"), "needs --metric"),
        (("--from-reference", "x", "--metric", "latency"), "--metric: unknown metric"),
        (("--from-reference", "x", "--metric", "error"), "neither the file of a version"),
        (("--from-reference", "none/1.ref", "--metric", "error"), "no version 1"),
        ((), "is required"),
        (("--mean", "1e308", "--sd", "1e308"), "too large or too small"),
        (("--mean", "3", "--sd", "1e200"), "too large or too small"),
        (("--log-sd", "1e200"), "too large or too small"),
        (("--rate", "0.5", "--dispersion", "1e200"), "too large or too small"),
        (("--rate", "1e-300"), "too large or too small"),
        (("--mean", "1e-300", "--sd", "1"), "too large or too small"),
        (("--mean", "3", "--sd", "1e100"), "more than 1e+12 users"),
        (("--rate", "0.5", "--variants", "a=1e-300,b=1"), "more than 1e+12 users"),
        (("--rate", "0.5", "--variants", "a=1e-300,b=1e300"), "not a weight of at most"),
        (("--rate", "0.5", "--alpha", "1e-300"), "alpha must be from 1e-09 to 0.5"),
        (("--rate", "0.5", "--alpha", "0.99"), "alpha must be from 1e-09 to 0.5"),
        (("--rate", "0.5", "--users-per-day", "1e-300"), "days"),
        (("--rate", "0.5", "--sd", "1"), "--sd needs --mean"),
        (("--rate", "0.5", "--metric", "error"), "--metric needs --from-reference"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    part: str,
) -> None:
    """Impossible and missing arguments are named, with exit status 2."""
    monkeypatch.chdir(tmp_path)
    assert part in one_line_error(capsys, *PLAN, *words)


def test_a_model_or_metric_that_the_reference_lacks_is_named(
    capsys: pytest.CaptureFixture[str], reference: Path
) -> None:
    """The error lists what there is."""
    words = (*PLAN, "--from-reference", reference)
    assert "it has chat" in one_line_error(capsys, *words, "--metric", "error", "--model", "m")
    assert "latency_ms" in one_line_error(capsys, *words, "--metric", "cost_usd")
    assert "cannot be planned" in one_line_error(capsys, *words, "--metric", "latency_ms.p50")
