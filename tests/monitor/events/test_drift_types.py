"""The type of drift of each feature."""

from __future__ import annotations

import json

import pytest

from monitor.events.codec import decode_event, encode_event, event_fields
from monitor.events.drift_types import _FEATURES, drift_type
from monitor.ingest.features import BINARY, CATEGORICAL, NUMERIC
from tests.monitor.events.drift_events import event, numbers


@pytest.mark.parametrize(
    ("kind", "features"),
    [
        ("data", ["input_tokens", "prompt_chars", "metadata.route", "metadata.score.x"]),
        ("prediction", ["latency_ms", "time_to_first_token_ms", "output_tokens", "cost_usd"]),
        ("prediction", ["tokens_per_second", "response_chars", "finish_reason"]),
        ("prediction", ["error", "empty_response", "refusal"]),
        ("concept", ["score.helpfulness", "feedback", "feedback.thumbs", "score."]),
        ("concept", ["judge.faithful", "ragas.context_recall", "score.input_tokens"]),
        ("data", ["of_a_newer_version", "", "scores.x", "judge", "LATENCY_MS", "x.feedback."]),
    ],
)
def test_every_feature_has_a_type_of_drift(kind: str, features: list[str]) -> None:
    """Inputs are data, outputs with latency and cost prediction, judged quality is concept."""
    assert {drift_type(each) for each in features} == {kind}


def test_no_feature_of_a_record_has_its_type_by_default() -> None:
    """Each built-in feature is listed, so that a new one is a decision."""
    listed = {feature for names in _FEATURES.values() for feature in names}
    assert listed == {*NUMERIC, *BINARY, *CATEGORICAL, "feedback"}


@pytest.mark.parametrize(
    ("feature", "kind"), [("prompt_chars", "data"), ("error", "prediction"), ("judge.x", "concept")]
)
def test_an_event_has_its_type_of_drift(feature: str, kind: str) -> None:
    """So has an event of an earlier version, whose JSON has neither type."""
    new = event(numbers(), numbers(), feature=feature)
    assert json.loads(encode_event(new))["drift_type"] == kind
    old = {k: v for k, v in event_fields(new).items() if k not in {"type", "drift_type"}}
    assert decode_event(json.dumps(old).encode()) == new
