"""Tests that the synthetic traffic has the properties that its module documents."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from monitor.cli.demo.experiment import EFFECT
from monitor.cli.demo.traffic import INJECTED, PUBLISHED, TokenStatistics, traffic

Record = dict[str, Any]
RECORDS = 40_000
CHANGE_AT = 20_000
MODELS = ("chat-large", "code-small")


def stream(
    records: int = 2_000,
    *,
    change_at: int = 1_000,
    seed: int = 7,
    rate: float = 100.0,
    start: float = 1_760_000_000.0,
) -> Iterator[bytes]:
    """Return traffic with default arguments."""
    return traffic(records, change_at=change_at, seed=seed, rate=rate, start=start)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """A long decoded stream that changes in the middle."""
    return [msgspec.json.decode(line) for line in stream(RECORDS, change_at=CHANGE_AT)]


def derived(record: Record) -> Record:
    """Return the fields of a record and the numbers that are derived from them."""
    tokens, latency = record.get("output_tokens"), record["latency_ms"]
    return {
        **record,
        "tokens_per_second": None if tokens is None else 1000 * tokens / latency,
        "prompt_chars": len(record["prompt"]),
        "response_chars": None if tokens is None else len(record["response"]),
        "relevance": record.get("scores", {}).get("relevance"),
        "failed": float("error" in record),
        "scored": float("scores" in record),
        "user": float(record["user_id"].removeprefix("user-")),
    }


NUMBERS = (
    "latency_ms", "time_to_first_token_ms", "input_tokens", "output_tokens", "tokens_per_second",
    "cost_usd", "prompt_chars", "response_chars", "relevance", "failed", "scored", "user",
)  # fmt: skip


def column(records: list[Record], model: str, feature: str) -> NDArray[np.float64]:
    """Return the values of one feature that are not missing, shape (n,)."""
    values = (derived(record).get(feature) for record in records if record["model"] == model)
    return np.array([value for value in values if value is not None], dtype=np.float64)


def counts(records: list[Record], model: str, category: Callable[[Record], str]) -> dict[str, int]:
    """Count the records of a model by category."""
    found: dict[str, int] = {}
    for record in records:
        if record["model"] == model:
            found[category(record)] = found.get(category(record), 0) + 1
    return found


def test_same_arguments_give_the_same_bytes() -> None:
    """Two streams with the same arguments are identical; another seed gives another stream."""
    assert list(stream()) == list(stream())
    assert list(stream()) != list(stream(seed=8))


@pytest.mark.parametrize("length", [0, 1, 4_095, 4_096, 4_097, 9_000])
def test_a_shorter_stream_is_a_prefix(length: int) -> None:
    """The number of records cuts the stream and does not change the records before the cut."""
    assert list(stream(length)) == list(stream(9_000))[:length]


def test_every_record_is_a_native_record(records: list[Record]) -> None:
    """Every line is a JSON object with the required keys; there are two models; ids are unique."""
    assert len({record["request_id"] for record in records}) == RECORDS
    assert {record["model"] for record in records} == set(MODELS)
    for record in records:
        assert isinstance(record["timestamp"], float)
        assert record["latency_ms"] > 0
        assert record["metadata"]["route"]
        assert 0 < len(record["prompt"]) + len(record.get("response", "")) <= 400


def test_event_times_follow_the_rate(records: list[Record]) -> None:
    """Record i has a time of i / rate seconds after the start."""
    times = np.array([record["timestamp"] for record in records])
    assert times == pytest.approx(1_760_000_000.0 + np.arange(RECORDS) / 100.0, abs=1e-6)


def test_the_models_share_the_stream(records: list[Record]) -> None:
    """60 % of the records are of chat-large, in every part of the stream."""
    chat = np.array([record["model"] == "chat-large" for record in records])
    assert chat.mean() == pytest.approx(0.6, abs=0.02)
    assert chat[:1000].mean() == pytest.approx(0.6, abs=0.08)


def test_failed_requests_have_no_response(records: list[Record]) -> None:
    """About 0.5 % of the records are errors, and have none of the fields of a response."""
    failed = [record for record in records if "error" in record]
    assert len(failed) / RECORDS == pytest.approx(0.005, abs=0.002)
    response_fields = {
        "response",
        "output_tokens",
        "time_to_first_token_ms",
        "finish_reason",
        "scores",
    }
    assert not any(response_fields & record.keys() for record in failed)
    for record in records:
        if "error" not in record:
            assert record["latency_ms"] >= record["time_to_first_token_ms"] > 0
            assert (record["response"] == "") == (record["finish_reason"] == "content_filter")


def test_most_responses_stop(records: list[Record]) -> None:
    """The finish reason is mostly stop, sometimes length, rarely content_filter."""
    for model in MODELS:
        shares = counts(records, model, lambda r: r.get("finish_reason", "none"))
        assert shares["stop"] > 20 * shares["length"] > 20 * shares["content_filter"] > 0


@pytest.mark.parametrize(("stream", "published"), PUBLISHED.items())
def test_token_counts_match_the_published_trace(
    records: list[Record], stream: tuple[str, str], published: TokenStatistics
) -> None:
    """Medians are within 5 %, means and 95th percentiles within 10 % of the Azure trace."""
    values = column(records, *stream)
    # counts are whole numbers, and the smallest median is 13 tokens: allow a difference of one
    assert np.median(values) == pytest.approx(published.p50, rel=0.05, abs=1)
    assert values.mean() == pytest.approx(published.mean, rel=0.1)
    assert np.quantile(values, 0.95) == pytest.approx(published.p95, rel=0.1)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("feature", NUMBERS)
def test_only_the_injected_features_change(records: list[Record], model: str, feature: str) -> None:
    """A KS test of before against after rejects for the injected streams, and for no other."""
    before = column(records[:CHANGE_AT], model, feature)
    after = column(records[CHANGE_AT:], model, feature)
    p_value = stats.ks_2samp(before, after, method="asymp").pvalue
    assert p_value < 1e-100 if INJECTED.explains(model, feature) else p_value > 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_no_category_changes(records: list[Record], model: str) -> None:
    """Finish reasons and routes are as frequent after the change as before (chi-squared test)."""
    for category in (lambda r: r.get("finish_reason", "none"), lambda r: r["metadata"]["route"]):
        before = counts(records[:CHANGE_AT], model, category)
        after = counts(records[CHANGE_AT:], model, category)
        table = [[side.get(key, 0) for key in before | after] for side in (before, after)]
        _, p_value, _, _ = stats.chi2_contingency(table)
        assert float(p_value) > 1e-3


def test_only_latency_changes_by_the_factor() -> None:
    """Compared with the same stream without a change, only latency differs, by the factor."""
    steady = [msgspec.json.decode(line) for line in stream(change_at=2_000)]
    changed = [msgspec.json.decode(line) for line in stream(change_at=1_000)]
    for i, (one, other) in enumerate(zip(steady, changed, strict=True)):
        slower = i >= 1_000 and one["model"] == INJECTED.model
        factor = INJECTED.factor if slower else 1.0
        assert other["latency_ms"] == pytest.approx(factor * one["latency_ms"], abs=2e-3)
        assert {**one, "latency_ms": 0} == {**other, "latency_ms": 0}


def test_records_are_independent(records: list[Record]) -> None:
    """Consecutive records of a model are uncorrelated (Spearman rank correlation)."""
    for model in MODELS:
        for feature in ("input_tokens", "output_tokens", "time_to_first_token_ms"):
            values = column(records, model, feature)
            ranks = stats.rankdata(values)
            assert abs(np.corrcoef(ranks[1:], ranks[:-1])[0, 1]) < 0.03


def test_the_experiment_has_its_effect(records: list[Record]) -> None:
    """Users keep their variant; scores of the treatment are nearer to 1, by the given part."""
    compared = [record for record in records if record["model"] == EFFECT.model]
    assert not any("experiments" in r for r in records if r["model"] != EFFECT.model)
    variants = {(r["user_id"], r["experiments"][EFFECT.experiment]) for r in compared}
    assert len(variants) == len({user for user, _ in variants})
    assert {variant for _, variant in variants} == {EFFECT.control, EFFECT.treatment}
    scores: dict[str, list[float]] = {EFFECT.control: [], EFFECT.treatment: []}
    for record in compared:
        if "scores" in record:
            variant = record["experiments"][EFFECT.experiment]
            scores[variant].append(1.0 - record["scores"][EFFECT.score])
    ratio = np.mean(scores[EFFECT.treatment]) / np.mean(scores[EFFECT.control])
    assert ratio == pytest.approx(1.0 - EFFECT.part, abs=0.04)


@pytest.mark.parametrize(
    ("name", "value"),
    [("records", -1), ("change_at", -1), ("rate", 0.0), ("rate", np.nan), ("start", np.inf)],
)
def test_invalid_arguments_raise_at_once(name: str, value: float) -> None:
    """The call raises, not the first iteration."""
    arguments: dict[str, Any] = {"records": 1, "change_at": 0, "seed": 0, "rate": 1.0, "start": 0.0}
    with pytest.raises(ValueError, match=name):
        traffic(**{**arguments, name: value})
