"""Changed bins, effect, example requests and other changed features of an event."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.categorical_stream import UNSEEN
from monitor.events.wording.comparison import unit_of
from tests.monitor import synthetic
from tests.monitor.detect.explain.explained_runs import (
    QUIET,
    drifting,
    events_of,
    opened,
    request_number,
    with_ids,
)
from tests.monitor.synthetic import WARMUP, WINDOW


def test_shares_of_bins_are_exact() -> None:
    """The reported shares of a bin are those of the reference and of the measured records."""
    columns = drifting(factor=3.0)
    event = opened(events_of(columns))
    records = synthetic.measured_records(event)
    window = columns.values[0, event.record - records : event.record]
    reference = columns.values[0, :WARMUP]
    assert event.explanation.bins
    for shift in event.explanation.bins:
        for values, share in ((reference, shift.before), (window, shift.after)):
            expected = _share(values, shift.bin, float(np.nanmax(reference)))
            assert share == pytest.approx(expected, abs=2 / records)
    grew = [shift.after > shift.before for shift in event.explanation.bins]
    assert grew == sorted(grew, reverse=True)
    assert event.explanation.bins[0].after > 1.3 * event.explanation.bins[0].before


def _share(values: Floats, name: str, top: float) -> float:
    """Return the share of values in a bin. top: upper edge of the last bin."""
    if name.startswith("above"):
        return float((values > top).mean())
    # edges in names are rounded, a value at an edge may be counted in the next bin
    low, high = _bounds(name)
    return float(((values >= low * (1 - 1e-5)) & (values < high * (1 - 1e-5))).mean())


def test_new_category_is_the_bin_that_grew() -> None:
    """A category that the reference lacks is reported as unseen, with examples of it."""
    columns = drifting()
    reasons: list[str | None] = ["stop"] * len(columns)
    for i in range(QUIET, len(columns), 4):
        reasons[i] = "tool_calls"
    columns = synthetic.with_categories(columns, "finish_reason", reasons)
    explanation = opened(events_of(columns), "finish_reason").explanation
    first = explanation.bins[0]
    assert (first.bin, first.before) == (UNSEEN, 0.0)
    assert first.after == pytest.approx(0.25, abs=0.25)
    assert explanation.effect is not None
    assert explanation.effect.of in {UNSEEN, "stop"}
    assert explanation.examples
    for request_id in explanation.examples:
        assert reasons[request_number(request_id) - 1] == "tool_calls"


def test_missing_values_are_the_bin_that_grew() -> None:
    """A feature without values is explained by the bin "missing" and examples of it."""
    columns = drifting()
    latency = columns.values[0].copy()
    latency[QUIET:] = np.nan
    columns = synthetic.with_values(columns, "latency_ms", latency)
    explanation = opened(events_of(columns)).explanation
    assert explanation.bins[0].bin == "missing"
    assert explanation.effect is not None
    assert explanation.effect.of == "missing"
    assert all(request_number(request_id) > QUIET for request_id in explanation.examples)


def test_effect_on_a_binary_feature_is_its_share() -> None:
    """The effect of a change of the error rate is the rate before and after it."""
    columns = drifting()
    errors = columns.values[2].copy()
    errors[QUIET:] = np.random.default_rng(3).random(len(errors) - QUIET) < 0.6
    event = opened(events_of(synthetic.with_values(columns, "error", errors)), "error")
    effect = event.explanation.effect
    assert effect is not None
    assert (effect.of, effect.unit) == ("share", "")
    assert effect.before == pytest.approx(errors[:WARMUP].mean())
    after = errors[event.record - synthetic.measured_records(event) : event.record]
    assert effect.after == pytest.approx(after.mean())
    for request_id in event.explanation.examples:
        assert errors[request_number(request_id) - 1] == 1.0


def test_effect_has_the_unit_of_the_feature() -> None:
    """The effect of a change of latency is its median in milliseconds."""
    event = opened(events_of(drifting(factor=3.0)))
    effect = event.explanation.effect
    assert effect is not None
    assert (effect.of, effect.unit) == ("median", "ms")
    assert (effect.before, effect.after) == (event.reference.p50, event.current.p50)


@pytest.mark.parametrize(
    ("feature", "unit"),
    [
        ("latency_ms", "ms"),
        ("tokens_per_second", "per second"),
        ("cost_usd", "USD"),
        ("output_tokens", "tokens"),
        ("prompt_chars", "characters"),
        ("metadata.queue_ms", "ms"),
        ("score.taste", ""),
        ("score.latency_ms", ""),
    ],
)
def test_unit_follows_from_the_name(feature: str, unit: str) -> None:
    """The name of a feature ends with its unit, or the feature has none."""
    assert unit_of(feature) == unit


def test_features_that_change_together_are_listed() -> None:
    """Two features that drift together list each other with their PSI, and no other feature."""
    events = events_of(drifting(factor=3.0, stops=0.3))
    together = {e.feature: e.explanation.together for e in events if e.severity == "critical"}
    assert together.keys() == {"latency_ms", "finish_reason"}
    assert list(together["latency_ms"]) == ["finish_reason"]
    assert list(together["finish_reason"]) == ["latency_ms"]
    assert min(psi for others in together.values() for psi in others.values()) >= 0.1
    [alone, *_] = [e for e in events_of(drifting(factor=3.0)) if e.severity == "critical"]
    assert alone.explanation.together == {}


@pytest.mark.parametrize(("every", "most"), [(3, 5), (17, 3)])
def test_examples_are_in_bins_that_grew(every: int, most: int) -> None:
    """Examples are records of the window since the change in bins that grew, newest first."""
    columns = with_ids(drifting(factor=3.0), every)
    events = [e for e in events_of(columns) if e.change in {"opened", "escalated"}]
    assert 0 < max(len(event.explanation.examples) for event in events) <= most
    for event in events:
        explanation = event.explanation
        numbers = [request_number(request_id) for request_id in explanation.examples]
        assert numbers == sorted(numbers, reverse=True)
        assert explanation.since is not None
        assert all(max(explanation.since.record, event.record - WINDOW + 1) <= n for n in numbers)
        assert all(n <= event.record for n in numbers)
        grew = [shift.bin for shift in explanation.bins if shift.after > shift.before]
        for n in numbers:
            value = columns.values[0, n - 1]
            assert any(_contains(name, value) for name in grew), (n, value, grew)


def _contains(name: str, value: float) -> bool:
    """Return whether the bin of this name contains the value."""
    if name.startswith("above"):
        return value > _bounds(name.removeprefix("above "))[0] * (1 - 1e-5)
    low, high = _bounds(name)
    return low * (1 - 1e-5) <= value <= high * (1 + 1e-5)


def _bounds(name: str) -> list[float]:
    """Return the numbers in the name of a bin, which separates thousands by commas."""
    return [float(part.replace(",", "")) for part in name.split(" to ")]


@pytest.mark.parametrize("seed", range(6))
def test_features_that_double_together_name_each_other(seed: int) -> None:
    """A page that rests on few records names the other feature if a detector found it as well."""
    columns = drifting(factor=2.0, seed=seed)
    latency = columns.values[columns.numeric.index("latency_ms")]
    tokens = np.round(latency * np.random.default_rng(seed).uniform(0.9, 1.1, len(latency)))
    both = synthetic.with_values(columns, "input_tokens", tokens)
    critical = [event for event in events_of(both) if event.severity == "critical"]
    first = {event.feature: event.explanation.together for event in reversed(critical)}
    assert "input_tokens" in first["latency_ms"]
    assert "latency_ms" in first["input_tokens"]
