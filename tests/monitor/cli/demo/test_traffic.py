"""The made traffic keeps what its docstring promises."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from monitor.demo.traffic import INJECTED, PUBLISHED, Figures, traffic

Record = dict[str, Any]
RECORDS = 40_000
CHANGE_AT = 20_000
MODELS = ("chat-large", "code-small")


def made(
    records: int = 2_000,
    *,
    change_at: int = 1_000,
    seed: int = 7,
    rate: float = 100.0,
    start: float = 1_760_000_000.0,
) -> Iterator[bytes]:
    """Traffic with the arguments that a test does not care about filled in."""
    return traffic(records, change_at=change_at, seed=seed, rate=rate, start=start)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """One long stream, decoded, that changes in its middle."""
    return [msgspec.json.decode(line) for line in made(RECORDS, change_at=CHANGE_AT)]


def derived(record: Record) -> Record:
    """The numbers that the daemon takes from a record."""
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
    """The values of one feature that are not missing, shape (n,)."""
    values = (derived(record).get(feature) for record in records if record["model"] == model)
    return np.array([value for value in values if value is not None], dtype=np.float64)


def counts(records: list[Record], model: str, of: Callable[[Record], str]) -> dict[str, int]:
    """How often each category occurs."""
    found: dict[str, int] = {}
    for record in records:
        if record["model"] == model:
            found[of(record)] = found.get(of(record), 0) + 1
    return found


def test_same_arguments_same_bytes() -> None:
    """Two streams with the same arguments are the same to the byte, and the seed matters."""
    assert list(made()) == list(made())
    assert list(made()) != list(made(seed=8))


@pytest.mark.parametrize("length", [0, 1, 4_095, 4_096, 4_097, 9_000])
def test_a_shorter_stream_is_a_prefix(length: int) -> None:
    """The number of records cuts the stream and changes nothing before the cut."""
    assert list(made(length)) == list(made(9_000))[:length]


def test_every_record_is_a_native_record(records: list[Record]) -> None:
    """Every line is one JSON object with the required keys, of two models, with unique ids."""
    assert len({record["request_id"] for record in records}) == RECORDS
    assert {record["model"] for record in records} == set(MODELS)
    for record in records:
        assert isinstance(record["timestamp"], float)
        assert record["latency_ms"] > 0
        assert record["metadata"]["route"]
        assert 0 < len(record["prompt"]) + len(record.get("response", "")) <= 400


def test_event_times_follow_the_rate(records: list[Record]) -> None:
    """Record i happens i / rate seconds after the start."""
    times = np.array([record["timestamp"] for record in records])
    assert times == pytest.approx(1_760_000_000.0 + np.arange(RECORDS) / 100.0, abs=1e-6)


def test_the_models_share_the_stream(records: list[Record]) -> None:
    """Sixty records in a hundred are chat-large, anywhere in the stream."""
    chat = np.array([record["model"] == "chat-large" for record in records])
    assert chat.mean() == pytest.approx(0.6, abs=0.02)
    assert chat[:1000].mean() == pytest.approx(0.6, abs=0.08)


def test_failures_have_no_answer(records: list[Record]) -> None:
    """About one record in two hundred is an error, and has nothing that an answer would give."""
    failed = [record for record in records if "error" in record]
    assert len(failed) / RECORDS == pytest.approx(0.005, abs=0.002)
    answers = {"response", "output_tokens", "time_to_first_token_ms", "finish_reason", "scores"}
    assert not any(answers & record.keys() for record in failed)
    for record in records:
        if "error" not in record:
            assert record["latency_ms"] >= record["time_to_first_token_ms"] > 0
            assert (record["response"] == "") == (record["finish_reason"] == "content_filter")


def test_most_answers_stop(records: list[Record]) -> None:
    """Finish reasons are mostly stop, some length, few content_filter."""
    for model in MODELS:
        shares = counts(records, model, lambda r: r.get("finish_reason", "none"))
        assert shares["stop"] > 20 * shares["length"] > 20 * shares["content_filter"] > 0


@pytest.mark.parametrize(("stream", "published"), PUBLISHED.items())
def test_token_counts_meet_the_published_figures(
    records: list[Record], stream: tuple[str, str], published: Figures
) -> None:
    """Medians within 5 %, means and 95th percentiles within 10 % of the Azure trace's."""
    values = column(records, *stream)
    # The trace's smallest median is 13 tokens: a count cannot come nearer to it than to one token.
    assert np.median(values) == pytest.approx(published.p50, rel=0.05, abs=1)
    assert values.mean() == pytest.approx(published.mean, rel=0.1)
    assert np.quantile(values, 0.95) == pytest.approx(published.p95, rel=0.1)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("feature", NUMBERS)
def test_only_the_injected_features_change(records: list[Record], model: str, feature: str) -> None:
    """A KS test before against after sees the injected streams grossly, and no other one."""
    before = column(records[:CHANGE_AT], model, feature)
    after = column(records[CHANGE_AT:], model, feature)
    p_value = stats.ks_2samp(before, after, method="asymp").pvalue
    assert p_value < 1e-100 if INJECTED.explains(model, feature) else p_value > 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_no_category_changes(records: list[Record], model: str) -> None:
    """Finish reasons and routes occur equally often before and after (chi-squared test)."""
    for of in (lambda r: r.get("finish_reason", "none"), lambda r: r["metadata"]["route"]):
        before = counts(records[:CHANGE_AT], model, of)
        after = counts(records[CHANGE_AT:], model, of)
        table = [[side.get(key, 0) for key in before | after] for side in (before, after)]
        _, p_value, _, _ = stats.chi2_contingency(table)
        assert float(p_value) > 1e-3


def test_the_change_is_one_field_and_exact() -> None:
    """Against the same stream without a change, nothing differs but the latency, by the factor."""
    steady = [msgspec.json.decode(line) for line in made(change_at=2_000)]
    changed = [msgspec.json.decode(line) for line in made(change_at=1_000)]
    for i, (one, other) in enumerate(zip(steady, changed, strict=True)):
        slower = i >= 1_000 and one["model"] == INJECTED.model
        factor = INJECTED.factor if slower else 1.0
        assert other["latency_ms"] == pytest.approx(factor * one["latency_ms"], abs=2e-3)
        assert {**one, "latency_ms": 0} == {**other, "latency_ms": 0}


def test_records_are_independent(records: list[Record]) -> None:
    """Neighbouring records of a model do not resemble each other (Spearman's rank correlation)."""
    for model in MODELS:
        for feature in ("input_tokens", "output_tokens", "time_to_first_token_ms"):
            values = column(records, model, feature)
            ranks = stats.rankdata(values)
            assert abs(np.corrcoef(ranks[1:], ranks[:-1])[0, 1]) < 0.03


@pytest.mark.parametrize(
    ("name", "value"),
    [("records", -1), ("change_at", -1), ("rate", 0.0), ("rate", np.nan), ("start", np.inf)],
)
def test_senseless_arguments_are_refused_at_once(name: str, value: float) -> None:
    """The call itself raises, not the first record."""
    arguments: dict[str, Any] = {"records": 1, "change_at": 0, "seed": 0, "rate": 1.0, "start": 0.0}
    with pytest.raises(ValueError, match=name):
        traffic(**{**arguments, name: value})
