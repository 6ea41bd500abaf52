"""Rates of the two draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.sections.ingest.sampling import (
    BoostConfig,
    Disagreement,
    NegativeFeedback,
    SamplingConfig,
)
from monitor.ingest.decode.native.kinds import Needed, fields_of
from monitor.ingest.fields.fields import coded
from monitor.ingest.sampling.rates import Boosts, Rates
from monitor.records import Record, WholeRecord

CONFIG = SamplingConfig(
    rate=0.01,
    models={"large": 0.05},
    segments={"metadata.route=search": 0.2, "metadata.n=1": 0.3, "finish_reason=length": 0.04},
    experiments={"prompt": 0.1, "model": 0.02},
)


def record(model: str = "m", **fields: object) -> WholeRecord:
    """Return a record with these fields."""
    return WholeRecord("r", 1.0, model, **fields)  # type: ignore[arg-type]  # of any type


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (record(), 0.01),
        (record("large"), 0.05),
        (record("large", finish_reason="length"), 0.05),
        (record(finish_reason="length"), 0.04),
        (record("large", metadata={"route": "search"}), 0.2),
        (record(metadata={"route": "other"}), 0.01),
        (record(metadata={"n": 1}), 0.3),
        (record(metadata={"n": "1", "route": "search"}), 0.3),
        (record("large", experiments={"model": "control"}, metadata={"n": 1}), 0.02),
        (record("m", experiments={"model": "treatment"}), 0.02),
        (record(experiments={"model": "treatment", "prompt": "a"}), 0.1),
        (record("large", experiments={"another": "a"}), 0.05),
    ],
)
def test_the_largest_rate_applies(given: WholeRecord, rate: float) -> None:
    """The largest rate applies; those of experiments replace all others."""
    assert Rates(CONFIG).of(given) == rate


RATE = st.floats(0, 1)
NAMES = st.sampled_from(["a", "b"])


@given(
    RATE,
    st.dictionaries(NAMES, RATE),
    st.dictionaries(st.sampled_from(["finish_reason=a", "metadata.k=b"]), RATE),
    st.dictionaries(NAMES, RATE),
    NAMES,
    st.none() | st.dictionaries(NAMES, NAMES),
    st.none() | st.dictionaries(st.just("k"), NAMES),
)
def test_no_rate_is_above_its_bound(
    rate: float,
    models: dict[str, float],
    segments: dict[str, float],
    experiments: dict[str, float],
    model: str,
    arms: dict[str, str] | None,
    metadata: dict[str, str | float] | None,
) -> None:
    """The bound that needs only the model is not below the rate: no drawn record is missed."""
    config = SamplingConfig(rate=rate, models=models, segments=segments, experiments=experiments)
    whole = record(model, experiments=arms, metadata=metadata, finish_reason="a")
    rates = Rates(config)
    assert rates.bounds(coded([model]))[0] >= rates.of(whole)


@given(st.dictionaries(NAMES, RATE, min_size=1), NAMES, NAMES, NAMES, NAMES)
def test_all_variants_have_one_rate(
    rates: dict[str, float], variant: str, other: str, model: str, other_model: str
) -> None:
    """The rate of an experiment's records depends on neither their variant nor their model."""
    config = SamplingConfig(models={"a": 0.9}, experiments=rates)
    name = next(iter(rates))
    first = record(model, experiments={name: variant}, finish_reason="stop")
    second = record(other_model, experiments={name: other})
    assert Rates(config).of(first) == Rates(config).of(second)


BOOST = BoostConfig(
    errors=0.1,
    refusals=0.2,
    negative_feedback=NegativeFeedback(rate=0.3, below=0.5),
    disagreement=Disagreement(rate=0.4, scores=("x", "y"), difference=2),
)


def reasons_of(
    boosts: Boosts, record: Record, raw: bytes, number: float, *, failed: bool = False
) -> list[str]:
    """Return the reasons to draw a record, which stands between two others without any."""
    other = Record("other", 1.0, "m")
    numbers, features = np.array([1.0, number, 1.0]), np.array([0.0, float(failed), 0.0])
    fields = fields_of([other, record, other], Needed())
    found = boosts.reasons(fields, [b"", raw, b""], numbers, (features, features.copy()))
    assert found.keys() <= {1}
    return found.get(1, [])


def test_reasons_depend_on_their_own_rates() -> None:
    """Each reason applies to its records, below its rate."""
    boosts = Boosts(BOOST)
    failed = Record("r", 1.0, "m", scores={"x": 1.0, "y": 3.0})
    raw = b'{"feedback": 0}'
    every = ["error", "refusal", "negative_feedback", "disagreement"]

    def reasons(number: float) -> list[str]:
        return reasons_of(boosts, failed, raw, number, failed=True)

    assert reasons(0.05) == every
    assert reasons(0.15) == every[1:]
    assert reasons(0.25) == every[2:]
    assert reasons(0.35) == every[3:]
    assert reasons(0.45) == []
    plain = Record("r", 1.0, "m")
    assert reasons_of(boosts, plain, b"{}", 0.0) == []


@pytest.mark.parametrize("text", ["-1", "-1.5", "0.4", "4e-1", "0", "-2E+2"])
@pytest.mark.parametrize("space", ["", " ", "\n\t"])
def test_negative_feedback_is_recognized_without_decoding(text: str, space: str) -> None:
    """Any JSON number below the limit makes a message a candidate."""
    raw = f'{{"a": 1, "feedback"{space}:{space}{text}}}'.encode()
    found = reasons_of(Boosts(BOOST), Record("r", 1.0, "m"), raw, 0.25)
    assert found == ["negative_feedback"]


@pytest.mark.parametrize(
    ("scores", "disagree"),
    [
        (None, False),
        ({"x": 1.0}, False),
        ({"x": 1.0, "y": None}, False),
        ({"x": 1.0, "y": 2.9}, False),
        ({"x": 3.0, "y": 1.0}, True),
        ({"x": 1.0, "z": 9.0}, False),
    ],
)
def test_disagreement(scores: dict[str, float | None] | None, disagree: bool) -> None:
    """Scores disagree if two of the configured ones differ enough."""
    given = Record("r", 1.0, "m", scores=scores)
    reasons = reasons_of(Boosts(BOOST), given, b"", 0.35)
    assert reasons == (["disagreement"] if disagree else [])


@pytest.mark.parametrize(("feedback", "negative"), [(None, False), (0.5, False), (0.4, True)])
def test_negative_feedback_is_confirmed(feedback: float | None, negative: bool) -> None:
    """Only feedback below the limit is negative; other reasons stay."""
    boosts, whole = Boosts(BOOST), record(feedback=feedback)
    confirmed = boosts.confirmed(["error", "negative_feedback"], whole)
    assert confirmed == (("error", "negative_feedback") if negative else ("error",))
