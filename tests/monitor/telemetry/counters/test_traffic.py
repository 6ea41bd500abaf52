"""The families of traffic are sums over records, by model."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ingest.features import FeatureExtractor
from monitor.ingest.fields.limits import OTHER
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.traffic import LATENCY_BUCKETS, Traffic
from tests.monitor.telemetry.scrape import batch, extractor, get, samples

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("name", ["other", "other (named)"])
def test_model_named_other_has_a_label_of_its_own(name: str) -> None:
    """Unwatched models have the label "other", a model of this name another one."""
    m = Metrics()
    by = FeatureExtractor({}, models=1, scores=5)
    m.count_transaction([batch({"model": name}, {"model": "more"}, by=by)], {}, {})
    m.watched.update({name: 7, OTHER: 3})
    found = samples(m)
    assert get(found, "records_watched_total", model="other") == 3
    assert get(found, "records_watched_total", model=f"{name} (named)") == 7
    assert get(found, "inference_requests_total", model="other", status="ok") == 1
    assert get(found, "inference_requests_total", model=f"{name} (named)", status="ok") == 1


fields = st.fixed_dictionaries(
    {"model": st.sampled_from("abcd")},
    optional={
        "latency_ms": st.none()
        | st.floats(-10, 200_000)
        | st.sampled_from([bound * 1000 for bound in LATENCY_BUCKETS]),
        "input_tokens": st.none() | st.integers(-5, 1000),
        "output_tokens": st.integers(0, 1000),
        "cost_usd": st.floats(0, 10),
        "error": st.none() | st.sampled_from(["", "timeout"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(fields, max_size=8), max_size=4))
def test_counters_are_sums_over_records(log: list[list[dict[str, Any]]]) -> None:
    """For any batches, the counters equal a count record by record."""
    m, by = Metrics(), extractor()
    expected: defaultdict[tuple[str, frozenset[tuple[str, str]]], float] = defaultdict(float)

    def count(name: str, number: float = 1, **labels: str) -> None:
        expected[f"plumbline_inference_{name}", frozenset(labels.items())] += number

    for part in log:
        m.count_transaction([batch(*part, by=by)], {}, {})
        for r in part:
            model = r["model"]
            failed = bool(r.get("error"))
            count("requests_total", model=model, status="error" if failed else "ok")
            count("requests_total", 0, model=model, status="ok" if failed else "error")
            for key in ("input", "output"):
                tokens = max(0, r.get(f"{key}_tokens") or 0)
                count("tokens_total", tokens, model=model, direction=key)
            count("cost_usd_total", r.get("cost_usd", 0), model=model)
            latency = r.get("latency_ms")
            known = latency is not None
            count("latency_seconds_count", known, model=model)
            count("latency_seconds_sum", max(0, latency or 0) / 1000, model=model)
            for bound in (*LATENCY_BUCKETS, math.inf):
                label = "+Inf" if bound == math.inf else repr(bound)
                inside = latency is not None and latency / 1000 <= bound
                count("latency_seconds_bucket", inside, model=model, le=label)
    found = {key: v for key, v in samples(m).items() if "_inference_" in key[0]}
    assert found.keys() == expected.keys()
    for series, total in expected.items():
        assert found[series] == pytest.approx(total, rel=1e-12, abs=1e-12)


def test_counters_never_fall() -> None:
    """Negative numbers in a log add nothing."""
    m, by = Metrics(), extractor()
    m.count_transaction(
        [batch({"input_tokens": 5, "cost_usd": 1, "latency_ms": 500}, by=by)], {}, {}
    )
    before = samples(m)
    m.count_transaction(
        [batch({"input_tokens": -4, "cost_usd": -1, "latency_ms": -500}, by=by)], {}, {}
    )
    after = samples(m)
    names = {key for key in before if key[0].endswith(("_total", "_sum", "_count", "_bucket"))}
    assert len(names) > 20
    assert all(after[key] >= before[key] for key in names)


def test_an_older_batch_may_have_fewer_models() -> None:
    """A batch that was extracted before others can be added after them."""
    traffic, by = Traffic(), extractor()
    old = batch({"model": "a", "latency_ms": 1}, by=by)
    traffic.add(batch({"model": "b", "latency_ms": 1}, by=by))
    traffic.add(old)
    assert dict(zip(traffic.models, traffic.requests[:, 0].tolist(), strict=True)) == {
        OTHER: 0,
        "a": 1,
        "b": 1,
    }
