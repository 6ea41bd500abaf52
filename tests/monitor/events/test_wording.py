"""The drift event: its id, its JSON, and the sentence that somebody reads at night."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import events
from monitor.events import DriftEvent, Summary, event_id, sentence
from monitor.explanation import Explanation, Move, Since

PURE = settings(deadline=None, derandomize=True, database=None)


def numbers(
    p50: float | None = 50.0,
    p95: float | None = 200.0,
    mean: float | None = 80.0,
    *,
    n: int = 1000,
    missing: float = 0.0,
    p05: float | None = 10.0,
    p99: float | None = 400.0,
) -> Summary:
    """One side of a numeric feature."""
    return Summary(n=n, missing=missing, mean=mean, p05=p05, p50=p50, p95=p95, p99=p99)


def shares(missing: float = 0.0, /, **named: float) -> Summary:
    """One side of a categorical feature."""
    return Summary(n=1000, missing=missing, shares=named)


def event(before: Summary, after: Summary, **other: Any) -> DriftEvent:
    """An event about these two sides."""
    given: dict[str, Any] = {
        "id": "e",
        "alarm": "a",
        "change": "opened",
        "model": "chat",
        "segment": "",
        "feature": "latency_ms",
        "detector": "psi",
        "found_by": ("psi", "ks"),
        "severity": "critical",
        "position": 17,
        "record": 17,
        "time": 1.7e9,
        "statistic": 0.3,
        "threshold": 0.1,
        "p_value": 1e-9,
        "psi": 0.3,
        "reference_id": "r",
        "reference": before,
        "current": after,
    }
    return DriftEvent(**given | other)


def moved(before: Summary, after: Summary, **other: Any) -> str:
    """What the sentence says between the first colon and the PSI, of a feature without a unit."""
    return (
        sentence(event(before, after, **({"feature": "score.taste"} | other)))
        .split(": ", 1)[1]
        .rsplit("; ", 1)[0]
    )


def test_sentence_says_what_where_and_how_bad() -> None:
    """Feature, model, severity, what moved, and the size of the drift are all there."""
    assert sentence(event(numbers(), numbers(p50=75, p95=300))) == (
        "latency_ms of chat has drifted (critical): "
        "median 50 -> 75 ms (+50%), p95 200 -> 300 ms (+50%); PSI 0.30"
    )


def test_sentence_names_the_segment() -> None:
    """A drift within a segment says so."""
    text = sentence(event(numbers(), numbers(75), segment="metadata.route=search"))
    assert text.startswith("latency_ms of chat [metadata.route=search] has drifted (critical): ")


SLOW = Explanation(
    since=Since(record=601, time=1.7e9 - 8),
    bins=(
        Move(bin="10 to 20", before=0.1, after=0.3),
        Move(bin="40 to 50", before=0.1, after=0.0),
        Move(bin="50 to 60", before=0.1, after=0.09),
    ),
    together={"output_tokens": 0.4, "cost_usd": 0.3},
)
"""What may be known of a change of the latency."""


def test_sentence_says_since_when_and_what_moved_along() -> None:
    """A page tells the whole change in one line of about 200 characters."""
    text = sentence(event(numbers(), numbers(p50=75, p95=300), record=1000, explanation=SLOW))
    assert text == (
        "latency_ms of chat has drifted (critical): "
        "median 50 -> 75 ms (+50%), p95 200 -> 300 ms (+50%), "
        "since 22:13:12 UTC, 400 records ago, with output_tokens, cost_usd; PSI 0.30"
    )
    assert len(text) < 200


@pytest.mark.parametrize(
    ("explanation", "text"),
    [
        (Explanation(), ""),
        (Explanation(since=Since(record=1000)), ", since 1 record ago"),
        (
            Explanation(since=Since(record=401, time=1.7e9 - 86_400)),
            ", since 2023-11-13 22:13:20 UTC, 600 records ago",
        ),
        (Explanation(since=Since(record=401, time=-1.0)), ", since 600 records ago"),
        (Explanation(since=Since(record=401, time=1e300)), ", since 600 records ago"),
        (Explanation(together={"a": 3.0, "b": 2.0, "c": 1.0, "d": 1.0}), ", with a, b and 2 more"),
    ],
)
def test_sentence_says_what_is_known(explanation: Explanation, text: str) -> None:
    """The date is told of another day, a time that no calendar has is left out, company counted."""
    told = sentence(event(numbers(), numbers(p50=75), record=1000, explanation=explanation))
    assert told == (
        "latency_ms of chat has drifted (critical): "
        f"median 50 -> 75 ms (+50%), p95 still 200{text}; PSI 0.30"
    )


def test_change_of_shape_is_told_by_bins() -> None:
    """Where no number has moved, the two bins that have moved most say what has."""
    assert moved(numbers(), numbers(), feature="latency_ms", explanation=SLOW).startswith(
        "its shape has changed: 10 to 20 ms in 10.0% -> 30.0%, 40 to 50 ms in 10.0% -> 0.0%"
    )


def test_long_category_is_cut() -> None:
    """A category may be as long as an answer; the sentence stays one that can be read."""
    before, after = shares(**{"x" * 99: 0.1}), shares(**{"x" * 99: 0.9})
    assert moved(before, after, kind="categorical") == f"{'x' * 39}\u2026 10.0% -> 90.0%"


def test_escalation_says_that_it_got_worse() -> None:
    """Who has read the first message sees that this is the second."""
    text = sentence(event(numbers(), numbers(75), change="escalated"))
    assert text.startswith("latency_ms of chat has drifted further (critical): ")


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        # the tail alone
        (numbers(), numbers(p95=900, mean=90), "p95 200 -> 900 (x4.5), mean 80 -> 90 (+12%), "
         "median still 50"),
        (numbers(), numbers(p95=900), "p95 200 -> 900 (x4.5), median still 50"),
        # the middle alone
        (numbers(), numbers(p50=150), "median 50 -> 150 (x3), p95 still 200"),
        (numbers(), numbers(p50=20), "median 50 -> 20 (-60%), p95 still 200"),
        # the mean alone
        (numbers(), numbers(mean=160), "mean 80 -> 160 (x2), median still 50, p95 still 200"),
        # the far ends alone
        (numbers(), numbers(p99=900), "p99 400 -> 900 (x2.2), median still 50, p95 still 200"),
        (numbers(), numbers(p05=2), "p05 10 -> 2 (-80%), median still 50, p95 still 200"),
        (numbers(), numbers(p05=2, p95=250, p99=900), "p95 200 -> 250 (+25%), "
         "p99 400 -> 900 (x2.2), median still 50"),
        # nothing that these would show
        (numbers(), numbers(), "its shape has changed: median 50 -> 50, p95 200 -> 200, "
         "mean 80 -> 80"),
        (numbers(), numbers(p50=51), "its shape has changed: median 50 -> 51, p95 200 -> 200, "
         "mean 80 -> 80"),
        # a sharp distribution, in which one percent is a leap
        (numbers(100.0, 100.1, 100.0), numbers(101.0, 101.1, 101.0),
         "median 100 -> 101 (+1%), p95 100.1 -> 101.1 (+1%)"),
        (numbers(100.02, 100.04, 100.03), numbers(100.06, 100.08, 100.07),
         "median 100.02 -> 100.06, p95 100.04 -> 100.08"),
        # large, small, negative and zero
        (numbers(15518.4, 2e6, 1e5), numbers(24450.2, 4e6, 2e5),
         "median 15,518 -> 24,450 (+58%), p95 2,000,000 -> 4,000,000 (x2)"),
        (numbers(1.23e-9, 1.0, 1.0), numbers(4.56e-9, 1.0, 1.0),
         "median 1.23e-09 -> 4.56e-09 (x3.7), p95 still 1"),
        (numbers(-50, 10, 1), numbers(50, 10, 1), "median -50 -> 50, p95 still 10"),
        (numbers(0, 0, 0), numbers(0, 10, 1), "p95 0 -> 10, mean 0 -> 1, median still 0"),
        # a side without a finite number
        (numbers(None, None, None, p05=None, p99=None), numbers(), "its shape has changed: "),
    ],
)  # fmt: skip
def test_numbers_that_moved_are_told(before: Summary, after: Summary, text: str) -> None:
    """The statistics that moved come first, with how much; those that did not are said to stay."""
    assert moved(before, after) == text


@pytest.mark.parametrize(
    ("before", "after", "psi", "text"),
    [
        (0.01, 0.4, 1.5, "missing in 1.0% -> 40.0% of records"),
        (0.4, 0.0, 2.0, "missing in 40.0% -> 0.0% of records"),
        (0.0001, 0.0004, 0.0, "missing in 0.01% -> 0.04% of records"),
        (0.01, 0.05, 0.3, "median 50 -> 75 (+50%), p95 still 200; "
         "missing in 1.0% -> 5.0% of records"),
        (0.01, 0.011, 0.3, "median 50 -> 75 (+50%), p95 still 200"),
    ],
)  # fmt: skip
def test_missing_values_are_told_where_they_moved(
    before: float, after: float, psi: float, text: str
) -> None:
    """Missing values speak alone where they are most of the drift, second where they are some."""
    assert moved(numbers(missing=before), numbers(p50=75, missing=after), psi=psi) == text


def test_vanished_feature_is_told() -> None:
    """A feature that no record has any more is the plainest thing to say."""
    gone = Summary(n=0, missing=1.0)
    assert moved(numbers(missing=0.01), gone, psi=9.0) == (
        "no record has a value any more; missing in 1.0% -> 100.0% of records"
    )


def test_shares_of_categories_are_told() -> None:
    """At most three categories, with the bins that are none called what they are."""
    before = shares(stop=0.97, other=0.0, length=0.02, rare=0.01, tool=0.0)
    after = shares(stop=0.8, other=0.1, length=0.05, rare=0.05, tool=0.0)
    assert moved(before, after, kind="categorical") == (
        "stop 97.0% -> 80.0%, unknown categories 0.0% -> 10.0%, length 2.0% -> 5.0%"
    )


def test_binary_feature_is_a_share() -> None:
    """An error rate is told as a rate, not as quantiles of zeros and ones."""
    before, after = numbers(0, 0, 0.005), numbers(0, 1, 0.12)
    assert moved(before, after, kind="binary", feature="error") == (
        "0.5% -> 12.0% of records (x24)"
    )


@pytest.mark.parametrize(
    ("before", "after", "kind", "text"),
    [
        (numbers(), numbers(51), "numeric", "median 51 ms, reference 50 ms"),
        (numbers(), numbers(None, None, None), "numeric", "its values are as in the reference"),
        (numbers(), Summary(n=0, missing=1.0), "numeric", "no record has a value"),
        (numbers(0, 0, 0.01), numbers(0, 0, 0.02), "binary", "2.0% of records, reference 1.0%"),
        (shares(b=0.1, a=0.9), shares(b=0.2, a=0.8), "categorical", "a 80.0%, reference 90.0%"),
        (shares(), shares(), "categorical", " 0.0%, reference 0.0%"),
    ],
)
def test_resolution_says_where_things_stand(
    before: Summary, after: Summary, kind: str, text: str
) -> None:
    """The end of an alarm shows the number beside its reference."""
    resolved = event(before, after, kind=kind, change="resolved", psi=0.01)
    assert sentence(resolved) == f"latency_ms of chat is quiet again: {text}; PSI 0.01"


@PURE
@given(
    st.builds(
        Summary,
        n=st.integers(0, 10**9),
        missing=st.floats(0, 1),
        mean=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        p50=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        p95=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        shares=st.none() | st.dictionaries(st.text(), st.floats(0, 1), max_size=5),
    ),
    st.builds(
        Summary,
        n=st.integers(0, 10**9),
        missing=st.floats(0, 1),
        mean=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        p50=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        p95=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        shares=st.none() | st.dictionaries(st.text(), st.floats(0, 1), max_size=5),
    ),
    st.sampled_from(["numeric", "binary", "categorical"]),
    st.sampled_from(["opened", "escalated", "resolved"]),
    st.text(),
)
def test_sentence_is_one_printable_line(
    before: Summary, after: Summary, kind: str, change: str, segment: str
) -> None:
    """Whatever the numbers and the names, there is one line that no terminal would obey."""
    text = sentence(event(before, after, kind=kind, change=change, segment=segment))
    assert text.isprintable()
    assert "nan" not in text
    assert text.startswith("latency_ms of chat")


def test_names_from_the_log_cannot_steer_a_terminal() -> None:
    """Escape sequences, C1 controls, line breaks and text direction marks do not get through."""
    text = sentence(event(numbers(), numbers(75), model="a\x1b[2J\x9b31m\nb\u202ec"))
    assert not set("\x1b\x9b\n\u202e") & set(text)
    assert "a\N{REPLACEMENT CHARACTER}[2J" in text


IDS = st.fixed_dictionaries(
    {
        "model": st.text(max_size=4),
        "segment": st.text(max_size=4),
        "feature": st.text(max_size=4),
        "detector": st.sampled_from(["psi", "ks"]),
        "record": st.integers(0, 20),
        "time": st.sampled_from([0.0, 1.0, 1.5]),
    }
)


@PURE
@given(IDS, IDS)
def test_id_is_of_the_finding(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two findings have the same id if, and only if, they are the same finding."""
    assert (event_id(**one) == event_id(**other)) == (one == other)


def test_id_does_not_run_names_together() -> None:
    """What stands at the end of one name cannot be taken for the beginning of the next."""
    rest: dict[str, Any] = {"feature": "f", "detector": "psi", "record": 1, "time": 0.0}
    apart = {event_id(model=m, segment=s, **rest) for m, s in [("a\0b", "c"), ("a", "b\0c")]}
    assert len(apart) == 2


def test_id_is_pinned() -> None:
    """Ids outlive a release: what is written under one must be found under it."""
    found = event_id(
        model="chat", segment="", feature="latency_ms", detector="psi", record=5000, time=1.7e9
    )
    assert found == "c66d3801f1bd51d0"


def test_event_survives_its_json() -> None:
    """What is encoded is decoded to the same event."""
    made = event(numbers(), shares(stop=1.0), kind="categorical", p_value=None, explanation=SLOW)
    assert msgspec.json.decode(events.encode(made), type=DriftEvent) == made


def test_event_of_an_older_program_is_read() -> None:
    """An event without `kind` is one about a number, and one without explanation has none."""
    new = {"kind", "explanation"}
    old = {k: v for k, v in events.fields(event(numbers(), numbers())).items() if k not in new}
    read = msgspec.json.decode(json.dumps(old), type=DriftEvent)
    assert (read.kind, read.explanation) == ("numeric", Explanation())


def test_summary_always_has_the_keys_of_the_report() -> None:
    """n, mean, p50 and p95 are there, null where the feature has none."""
    plain = json.loads(events.encode(event(shares(stop=1.0), Summary(n=0, missing=1.0))))
    for side in ("reference", "current"):
        assert {"n", "mean", "p50", "p95", "missing"} <= plain[side].keys()
    assert plain["reference"]["mean"] is None


def test_fields_are_plain_values() -> None:
    """A log line gets values that every renderer can write."""
    plain = events.fields(event(numbers(), numbers()))
    assert json.loads(json.dumps(plain)) == json.loads(events.encode(event(numbers(), numbers())))
