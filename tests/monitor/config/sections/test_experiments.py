"""The section `experiments`: forms of metrics, directions, times, seeds and bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.config.load import load
from monitor.config.sections.experiments.metrics import LOG_FEATURES, MEAN_FEATURES, split_metric
from monitor.config.sections.experiments.parts import MAX_VARIANTS
from monitor.config.sections.experiments.section import (
    MAX_EXPERIMENTS,
    MAX_METRICS,
    ExperimentConfig,
)
from monitor.ingest.features import BINARY, NUMERIC
from tests.monitor.config.config_files import problems, write_config

VARIANTS = {"control": 1, "treatment": 1}


def experiment(**settings: Any) -> ExperimentConfig:
    """Return an experiment with these settings."""
    return ExperimentConfig.model_validate({"variants": VARIANTS, "goal": "error", **settings})


def write(tmp_path: Path, experiments: dict[str, Any]) -> Path:
    """Write a configuration with these experiments."""
    return write_config(tmp_path, json.dumps({"experiments": experiments}))


def test_metrics_are_the_features_of_ingest() -> None:
    """Each default feature is a metric, numeric ones by their logarithm."""
    assert LOG_FEATURES == NUMERIC
    assert set(MEAN_FEATURES) == {*BINARY, "feedback"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("latency_ms", ("latency_ms", "")),
        ("latency_ms.p95", ("latency_ms", "p95")),
        ("cost_usd.capped", ("cost_usd", "capped")),
        ("error", ("error", "")),
        ("score.helpful.p95", ("score.helpful.p95", "")),
        ("judge.answer_quality", ("judge.answer_quality", "")),
        ("ragas.faithfulness", ("ragas.faithfulness", "")),
        ("check.format", ("check.format", "")),
        ("feedback", ("feedback", "")),
        ("feedback.thumbs", ("feedback.thumbs", "")),
    ],
)
def test_a_metric_has_a_feature_and_a_scale(name: str, parts: tuple[str, str]) -> None:
    """A suffix is a scale after features that are compared by their logarithm only."""
    assert split_metric(name) == parts


@pytest.mark.parametrize(
    "name", ["", "latency", "error.p95", "score", "score.", "score.a\nb", "score." + "x" * 101, "."]
)
def test_other_names_are_no_metrics(name: str) -> None:
    """Names of no feature, of no scale, and unprintable or long ones are rejected."""
    with pytest.raises(ValueError, match="unknown metric"):
        split_metric(name)


@pytest.mark.parametrize(
    ("metric", "lower"),
    [
        ("latency_ms", True),
        ("time_to_first_token_ms.p95", True),
        ("cost_usd.p95", True),
        ("input_tokens", True),
        ("output_tokens.p50", True),
        ("error", True),
        ("refusal", True),
        ("empty_response", True),
        ("tokens_per_second", False),
        ("response_chars", False),
        ("score.x", False),
        ("feedback", False),
        ("response_chars.zero", True),
        ("cost_usd.zero", True),
        ({"metric": "cost_usd.zero", "direction": "higher"}, False),
        ({"metric": "cost_usd", "direction": "higher"}, False),
        ({"metric": "score.x", "direction": "lower"}, True),
    ],
)
def test_each_metric_has_a_direction(metric: Any, lower: bool) -> None:
    """Less is better for latency, tokens, cost and failures; a metric can say otherwise."""
    assert experiment(goal=metric).goal.lower_is_better is lower


def test_a_seed_follows_the_name_and_the_phase() -> None:
    """Another phase has another seed, unless it is set."""
    assert experiment().seed_of("new") == "new"
    assert experiment(phase=2).seed_of("new") == "new.2"
    assert experiment(phase=2, seed="fixed").seed_of("new") == "fixed"


def test_a_pre_period_ends_before_the_experiment_begins() -> None:
    """Without a start, the experiment begins at the end of the pre-period."""
    before = {"start": "2026-11-01T00:00:00+01:00", "hours": 24}
    assert experiment().begin is None
    assert experiment(start=5).begin == 5
    found = experiment(assignment="hash", pre_period=before)
    assert found.begin == 1793491200 - 3600 + 24 * 3600
    later = experiment(assignment="hash", pre_period=before, start="2026-12-01T00:00:00Z")
    assert later.begin == 1796083200


def test_numbers_of_experiments_variants_and_metrics_are_bounded(tmp_path: Path) -> None:
    """State and metric series grow with each of them."""
    one = {"variants": VARIANTS, "goal": "error"}
    path = write(tmp_path, {f"e{number}": one for number in range(MAX_EXPERIMENTS)})
    assert len(load(path, {}).experiments) == MAX_EXPERIMENTS
    path = write(tmp_path, {f"e{number}": one for number in range(MAX_EXPERIMENTS + 1)})
    assert problems(path) == [f"{path}:1: experiments: must have at most 20 entries"]
    variants = {f"v{number}": 1 for number in range(MAX_VARIANTS + 1)}
    path = write(tmp_path, {"e": one | {"variants": variants}})
    assert problems(path) == [f"{path}:1: experiments.e.variants: must have at most 10 entries"]
    metrics = [f"score.s{number}" for number in range(MAX_METRICS)]
    path = write(tmp_path, {"e": one | {"secondary": metrics[:10], "guardrails": metrics[10:]}})
    [problem] = problems(path)
    assert problem.endswith("guardrails: makes more than 20 metrics of one experiment")
    path = write(tmp_path, {"e": one | {"overrides": {"x" * 257: "control"}}})
    assert problems(path)[0].endswith("not 1 to 256 characters long")


@pytest.mark.parametrize("key", ["on", "off", "1", "yes"])
def test_a_variant_that_yaml_does_not_read_as_text_is_explained(tmp_path: Path, key: str) -> None:
    """YAML reads `on` as true, and `1` as a number."""
    path = write_config(
        tmp_path, f"experiments: {{e: {{variants: {{{key}: 1, b: 1, c: 1}}, goal: error}}}}"
    )
    assert problems(path) == [
        f"{path}:1: experiments.e.variants: keys must be text; put this one in quotes"
    ]


def test_two_such_variants_are_one_problem(tmp_path: Path) -> None:
    """They are not missing."""
    path = write_config(tmp_path, "experiments: {e: {variants: {on: 1, off: 1}, goal: error}}")
    assert problems(path) == [
        f"{path}:1: experiments.e.variants: keys must be text; put this one in quotes"
    ]


def test_a_planned_end_has_the_minimum_of_users(tmp_path: Path) -> None:
    """Else its fixed test could not be at the planned end."""
    one = {"variants": {"a": 1, "b": 1}, "goal": "error", "min_users": 500}
    path = write(tmp_path, {"e": one | {"planned_users": 999}})
    assert problems(path) == [
        f"{path}:1: experiments.e.planned_users: is less than min_users of each variant, 1000 in"
        " all"
    ]
    assert experiment(min_users=500, planned_users=1000).planned_users == 1000


def test_weights_are_bounded(tmp_path: Path) -> None:
    """The sum of weights is a number."""
    path = write_config(
        tmp_path, "experiments: {e: {variants: {a: 1.0e+308, b: 1.0e+308}, goal: error}}"
    )
    assert [each.rpartition(": ")[2] for each in problems(path)] == 2 * [
        "must be at most 1000000000.0"
    ]


def test_variants_can_be_a_list(tmp_path: Path) -> None:
    """A list keeps its order where mappings do not, and gives the same variants."""
    ordered = [{"treatment": 2}, {"control": 1}]
    assert [*experiment(variants=ordered).variants.items()] == [("treatment", 2), ("control", 1)]
    message = "must be a mapping, or a list such as [{control: 0.5}, {treatment: 0.5}]"
    for variants, problem in (
        (["a", "b"], message),
        ([{"a": 1, "b": 1}], message),
        ([{"a": 1}, {"a": 1}], "'a' is listed twice"),
        ([{"a": 1}], "must have at least 2 entries"),
        ([], "must be a mapping of keys to values"),
    ):
        path = write(tmp_path, {"e": {"variants": variants, "goal": "error"}})
        assert problems(path) == [f"{path}:1: experiments.e.variants: {problem}"]
