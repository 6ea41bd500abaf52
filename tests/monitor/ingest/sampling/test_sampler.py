"""Samples drawn from batches of messages."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from scipy import stats

from monitor.config.sections.ingest.sampling import BoostConfig, NegativeFeedback, SamplingConfig
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.features import FeatureExtractor
from monitor.ingest.fields.hashing import uniform_numbers
from monitor.ingest.sampling.codec import decode_sample, encode_sample
from monitor.ingest.sampling.sampler import SampleCounts, Sampler
from monitor.records import Sample
from tests.monitor.ingest.decode.payloads import almost, fuzz, good, mutated

NO_BOOST = BoostConfig(errors=0, refusals=0, negative_feedback=NegativeFeedback(rate=0))


def message(number: int, **fields: Any) -> bytes:
    """Return a message."""
    base = {"request_id": f"r-{number}", "timestamp": 1.0 + number, "model": "m"}
    return json.dumps(base | {"response": "ok", "latency_ms": 5} | fields).encode()


def draw(
    config: SamplingConfig, messages: list[bytes], batch: int = 300
) -> tuple[dict[str, Sample], SampleCounts]:
    """Return the samples of messages that are decoded in batches, by request id, and the counts."""
    decoder = NativeDecoder()
    extractor = FeatureExtractor({}, models=10, scores=10)
    sampler, counts = Sampler(config, decoder.whole, None), SampleCounts()
    samples = {}
    for start in range(0, len(messages), batch):
        part = messages[start : start + batch]
        decoded = decoder.many(part)
        indices = decoded.indices.tolist()
        payloads = [part[index] for index in indices]
        features = extractor.batch(decoded.fields, decoded.indices)
        rows = features.row("error"), features.row("refusal")
        found = sampler.candidates(decoded.fields, payloads, {}, rows)
        for sample, value in sampler.draw(found, config.max_bytes, counts.dropped):
            assert decode_sample(value) == sample
            assert sample.request_id not in samples
            samples[sample.request_id] = sample
            counts.add(sample)
    return samples, counts


def test_uniform_samples_at_their_rate() -> None:
    """The number of uniform samples is that of the rate, and each carries the rate."""
    n, rate = 20_000, 0.03
    samples, counts = draw(
        SamplingConfig(rate=rate, boost=NO_BOOST), [message(i) for i in range(n)]
    )
    assert stats.binomtest(len(samples), n, rate).pvalue > 1e-3
    assert {s.inclusion.probability for s in samples.values()} == {rate}
    assert all(s.inclusion.uniform and not s.inclusion.boosted for s in samples.values())
    assert counts.written == Counter(uniform=len(samples))
    ids = [f"r-{i}" for i in range(n)]
    drawn = np.array(ids)[uniform_numbers(ids) < rate]
    assert list(samples) == drawn.tolist()


def test_a_lower_rate_draws_a_part() -> None:
    """The samples at a rate are among those at a larger rate, so that a reader can lower it."""
    messages = [message(i) for i in range(5_000)]
    low, _ = draw(SamplingConfig(rate=0.01, boost=NO_BOOST), messages)
    high, _ = draw(SamplingConfig(rate=0.05, boost=NO_BOOST), messages)
    assert 0 < len(low) < len(high)
    assert set(low) < set(high)
    assert [i for i, u in zip(high, uniform_numbers(list(high)), strict=True) if u < 0.01] == list(
        low
    )


@given(st.integers(1, 400), st.permutations(range(400)))
@settings(max_examples=20, deadline=None)
def test_batches_and_order_do_not_matter(batch: int, order: list[int]) -> None:
    """The same records are drawn from batches of any size, in any order."""
    config = SamplingConfig(rate=0.1, boost=BoostConfig(errors=0.5))
    messages = [message(i, error="timeout" if i % 4 == 0 else None) for i in range(400)]
    samples, _ = draw(config, messages)
    assert draw(config, [messages[i] for i in order], batch)[0] == samples


def test_boosted_samples_are_beside_the_uniform_ones() -> None:
    """Additional samples do not change which records are drawn uniformly, and have reasons."""
    fields: list[dict[str, Any]] = [
        {},
        {"error": "timeout"},
        {"finish_reason": "refusal"},
        {"feedback": -1},
        {"feedback": 1},
        {"response": "I'm sorry, but I can't help with that."},
    ]
    messages = [message(i, **fields[i % 6]) for i in range(6_000)]
    plain, _ = draw(SamplingConfig(rate=0.05, boost=NO_BOOST), messages)
    boost = BoostConfig(errors=0.2, refusals=0.2, negative_feedback=NegativeFeedback(rate=0.2))
    samples, counts = draw(SamplingConfig(rate=0.05, boost=boost), messages)
    assert {i for i, s in samples.items() if s.inclusion.uniform} == set(plain)
    expected = [(), ("error",), ("refusal",), ("negative_feedback",), (), ("refusal",)]
    drawn = [0] * 6
    for sample in samples.values():
        kind = int(sample.request_id[2:]) % 6
        assert sample.inclusion.boosted in ((), expected[kind])
        assert sample.inclusion.probability == 0.05
        drawn[kind] += bool(sample.inclusion.boosted)
    assert drawn[0] == drawn[4] == 0
    for kind in (1, 2, 3, 5):
        assert stats.binomtest(drawn[kind], 1_000, 0.2).pvalue > 1e-3
    assert counts.written["uniform"] + counts.written["boosted"] == len(samples)


def test_rates_and_probabilities_by_model_segment_and_experiment() -> None:
    """A uniform sample carries the rate that its record was drawn at."""
    config = SamplingConfig(
        rate=0.02,
        models={"large": 0.1},
        segments={"metadata.route=search": 0.3},
        experiments={"e": 0.5},
        boost=NO_BOOST,
    )
    kinds: list[tuple[dict[str, Any], float]] = [
        ({}, 0.02),
        ({"model": "large"}, 0.1),
        ({"metadata": {"route": "search"}}, 0.3),
        ({"model": "large", "experiments": {"e": "a"}}, 0.5),
        ({"experiments": {"e": "b"}}, 0.5),
    ]
    n = 2_000
    samples, _ = draw(config, [message(i, **kinds[i % 5][0]) for i in range(5 * n)])
    for number, (_, rate) in enumerate(kinds):
        drawn = [s for i, s in samples.items() if int(i[2:]) % 5 == number]
        assert {s.inclusion.probability for s in drawn} == {rate}
        assert stats.binomtest(len(drawn), n, rate).pvalue > 1e-3


def test_samples_are_cut_and_counted() -> None:
    """A large record is cut; one with a huge id is dropped and counted."""
    config = SamplingConfig(rate=1, max_bytes=2_000, boost=NO_BOOST)
    large = message(1, response="x" * 100_000)
    samples, counts = draw(config, [message(0), large, message(2, request_id="x" * 9_000)])
    assert samples["r-1"].cut == ("response",)
    assert samples["r-0"].cut == ()
    assert (counts.cut, counts.dropped) == (1, Counter(too_large=1))
    assert counts.written == Counter(uniform=2)


def test_redaction_is_counted_and_users_are_hashed() -> None:
    """Texts are redacted; user ids are replaced by their keyed hash."""
    config = SamplingConfig(rate=1, user_key=SecretStr("a secret key"))
    decoder = NativeDecoder()
    sampler = Sampler(config, decoder.whole, lambda t: (t.replace("pin", "[x]"), {"x": 1}))
    raw = message(1, response="my pin", user_id="alice")
    decoded, counts = decoder.many([raw]), SampleCounts()
    features = FeatureExtractor({}, models=1, scores=1).batch(decoded.fields, [1])
    rows = features.row("error"), features.row("refusal")
    found = sampler.candidates(decoded.fields, [raw], {}, rows)
    ((sample, _),) = sampler.draw(found, 10_000, counts.dropped)
    counts.add(sample)
    assert (sample.response, sample.redacted) == ("my [x]", {"x": 1})
    assert sample.user is not None
    assert b"alice" not in encode_sample(sample)
    assert counts.redacted == {"x": 1}


@fuzz
@given(
    st.lists(
        st.one_of(good, almost).map(
            lambda r: json.dumps({"request_id": "r", "timestamp": 1, "model": "m"} | r).encode()
        )
        | mutated()
        | st.binary(max_size=80),
        max_size=8,
    )
)
def test_no_message_stops_sampling(messages: list[bytes]) -> None:
    """Any messages are drawn or not; each record is drawn at rate 1, and none is undecodable."""
    decoder = NativeDecoder()
    sampler, counts = Sampler(SamplingConfig(rate=1), decoder.whole, None), SampleCounts()
    decoded = decoder.many(messages)
    indices = decoded.indices.tolist()
    payloads = [messages[index] for index in indices]
    features = FeatureExtractor({}, models=10, scores=10).batch(decoded.fields, decoded.indices)
    rows = features.row("error"), features.row("refusal")
    found = sampler.candidates(decoded.fields, payloads, {}, rows)
    samples = list(sampler.draw(found, 10_000, counts.dropped))
    assert len(samples) == len(decoded.fields) - counts.dropped.total()
    assert not counts.dropped["undecodable"]
    for sample, value in samples:
        assert decode_sample(value) == sample


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_extreme_rates(rate: float) -> None:
    """Rate 0 draws nothing, rate 1 everything."""
    samples, _ = draw(SamplingConfig(rate=rate, boost=NO_BOOST), [message(i) for i in range(1_000)])
    assert len(samples) == 1_000 * rate


def test_records_of_models_with_an_open_alarm_are_drawn_in_addition() -> None:
    """At their rate, with the reason, and for as long as the alarm is open."""
    n, rate, models = 8_000, 0.1, set[str]()
    config = SamplingConfig(rate=0.01, boost=NO_BOOST.model_copy(update={"open_alarms": rate}))
    decoder, extractor = NativeDecoder(), FeatureExtractor({}, models=10, scores=10)
    sampler = Sampler(config, decoder.whole, None, alarmed=lambda: models)
    decoded = decoder.many([message(i, model="m" if i % 2 else "n") for i in range(n)])
    features = extractor.batch(decoded.fields, decoded.indices)
    rows = features.row("error"), features.row("refusal")
    payloads = [message(i, model="m" if i % 2 else "n") for i in range(n)]

    def drawn() -> dict[str, Sample]:
        candidates = sampler.candidates(decoded.fields, payloads, {}, rows)
        found = sampler.draw(candidates, config.max_bytes, Counter())
        return {sample.request_id: sample for sample, _ in found}

    before = drawn()
    assert all(not sample.inclusion.boosted for sample in before.values())
    models.add("m")
    during = drawn()
    boosted = {key: each for key, each in during.items() if each.inclusion.boosted}
    assert {(s.model, s.inclusion.boosted) for s in boosted.values()} == {("m", ("open_alarm",))}
    assert stats.binomtest(len(boosted), n // 2, rate).pvalue > 1e-3
    assert {key for key, each in during.items() if each.inclusion.uniform} == set(before)
    assert {each.inclusion.probability for each in during.values()} == {0.01}
    models.clear()
    assert drawn() == before
