"""The sentence of a drift event: what it contains for each kind of change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from monitor.events.types import ChangePoint, DriftEvent, Effect, Explanation, Size, Summary
from monitor.events.wording.drift import effect_text, sentence, share_text, shares_text
from monitor.records import Source
from tests.monitor.events.drift_events import EXPLANATION, event, numbers, shares

PURE = settings(deadline=None, derandomize=True, database=None)


def change_text(before: Summary, after: Summary, **other: Any) -> str:
    """Return the part of the sentence between the first colon and the PSI, without a unit."""
    return (
        sentence(event(before, after, **({"feature": "score.taste"} | other)))
        .split(": ", 1)[1]
        .rsplit("; ", 1)[0]
    )


def test_sentence_has_feature_model_severity_change_and_psi() -> None:
    """The sentence names the feature, the model, the severity, the change and the PSI."""
    assert sentence(event(numbers(), numbers(p50=75, p95=300))) == (
        "latency_ms of chat has drifted (critical): "
        "median 50 -> 75 ms (+50%), p95 200 -> 300 ms (+50%); PSI 0.30"
    )


def test_sentence_names_the_segment() -> None:
    """A drift within a segment names the segment."""
    text = sentence(event(numbers(), numbers(75), segment="metadata.route=search"))
    assert text.startswith("latency_ms of chat [metadata.route=search] has drifted (critical): ")


def test_sentence_has_change_point_and_other_features() -> None:
    """A notification describes the change in one line of fewer than 200 characters."""
    text = sentence(
        event(numbers(), numbers(p50=75, p95=300), record=1000, explanation=EXPLANATION)
    )
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
        (Explanation(since=ChangePoint(record=1000)), ", for the last 1 record"),
        (
            Explanation(since=ChangePoint(record=401, time=1.7e9 - 86_400)),
            ", since 2023-11-13 22:13:20 UTC, 600 records ago",
        ),
        (Explanation(since=ChangePoint(record=401, time=-1.0)), ", for the last 600 records"),
        (Explanation(since=ChangePoint(record=401, time=1e300)), ", for the last 600 records"),
        (Explanation(together={"a": 3.0, "b": 2.0, "c": 1.0, "d": 1.0}), ", with a, b and 2 more"),
    ],
)
def test_sentence_has_the_known_context(explanation: Explanation, text: str) -> None:
    """The date is given if it is another day, an invalid time is omitted, features are counted."""
    explanation = structs.replace(explanation, unmoved=("p95",))
    found = sentence(event(numbers(), numbers(p50=75), record=1000, explanation=explanation))
    assert found == (
        "latency_ms of chat has drifted (critical): "
        f"median 50 -> 75 ms (+50%), p95 still 200{text}; PSI 0.30"
    )


def test_sentence_states_only_what_is_known_to_be_unmoved() -> None:
    """Where records from before the change are among the measured ones, nothing is "still" so."""
    dated = Explanation(since=ChangePoint(record=981))
    found = sentence(event(numbers(), numbers(p50=75), record=1000, explanation=dated))
    assert found == (
        "latency_ms of chat has drifted (critical): "
        "median 50 -> 75 ms (+50%), for the last 20 records; PSI 0.30"
    )


def test_change_of_shape_is_described_by_bins() -> None:
    """If no statistic changed, the two bins that changed most are named."""
    assert change_text(
        numbers(), numbers(), feature="latency_ms", explanation=EXPLANATION
    ).startswith(
        "its shape has changed: 10 to 20 ms in 10.0% -> 30.0%, 40 to 50 ms in 10.0% -> 0.0%"
    )


def test_long_category_is_shortened() -> None:
    """A category may be as long as a response. Its label has at most 40 characters."""
    before, after = shares(**{"x" * 99: 0.1}), shares(**{"x" * 99: 0.9})
    assert change_text(before, after, kind="categorical") == f"{'x' * 39}\u2026 10.0% -> 90.0%"


def test_escalation_has_drifted_further() -> None:
    """The sentence of an escalation says whether another step or the same change caused it."""
    text = sentence(event(numbers(), numbers(75), change="escalated"))
    assert text.startswith("latency_ms of chat has become critical: ")
    step = Explanation(further=True)
    text = sentence(event(numbers(), numbers(75), change="escalated", explanation=step))
    assert text.startswith("latency_ms of chat has drifted further (critical): ")
    first = event(numbers(), numbers(75), change="escalated", escalated_from="info")
    assert sentence(first).startswith("latency_ms of chat has drifted (critical): ")


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        # only the tail
        (numbers(), numbers(p95=900, mean=90), "p95 200 -> 900 (x4.5), mean 80 -> 90 (+12%), "
         "median still 50"),
        (numbers(), numbers(p95=900), "p95 200 -> 900 (x4.5), median still 50"),
        # only the median
        (numbers(), numbers(p50=150), "median 50 -> 150 (x3), p95 still 200"),
        (numbers(), numbers(p50=20), "median 50 -> 20 (-60%), p95 still 200"),
        # only the mean
        (numbers(), numbers(mean=160), "mean 80 -> 160 (x2), median still 50, p95 still 200"),
        # only the extreme quantiles
        (numbers(), numbers(p99=900), "p99 400 -> 900 (x2.2), median still 50, p95 still 200"),
        (numbers(), numbers(p05=2), "p05 10 -> 2 (-80%), median still 50, p95 still 200"),
        (numbers(), numbers(p05=2, p95=250, p99=900), "p95 200 -> 250 (+25%), "
         "p99 400 -> 900 (x2.2), median still 50"),
        # no statistic
        (numbers(), numbers(), "its shape has changed: median 50 -> 50, p95 200 -> 200, "
         "mean 80 -> 80"),
        (numbers(), numbers(p50=51), "its shape has changed: median 50 -> 51, p95 200 -> 200, "
         "mean 80 -> 80"),
        # a narrow distribution, in which one percent is much
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
        # a summary without numbers
        (numbers(None, None, None, p05=None, p99=None), numbers(), "its shape has changed: "),
    ],
)  # fmt: skip
def test_changed_statistics_come_first(before: Summary, after: Summary, text: str) -> None:
    """Statistics that changed come first, with their ratio, followed by those that did not."""
    assert change_text(before, after) == text


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
def test_change_of_missing_values_is_reported(
    before: float, after: float, psi: float, text: str
) -> None:
    """Missing values are reported alone if they are most of the drift, second if they are some."""
    assert change_text(numbers(missing=before), numbers(p50=75, missing=after), psi=psi) == text


def test_feature_without_values_is_reported() -> None:
    """A feature that no record has any more is reported as such."""
    gone = Summary(n=0, missing=1.0)
    assert change_text(numbers(missing=0.01), gone, psi=9.0) == (
        "no record has a value any more; missing in 1.0% -> 100.0% of records"
    )


def test_shares_of_categories_are_reported() -> None:
    """At most three categories are reported, and each by its own name."""
    before = shares(stop=0.97, other=0.0, length=0.02, rare=0.01, tool=0.0)
    after = shares(stop=0.8, other=0.1, length=0.05, rare=0.05, tool=0.0)
    assert change_text(before, after, kind="categorical") == (
        "stop 97.0% -> 80.0%, other 0.0% -> 10.0%, length 2.0% -> 5.0%"
    )


@pytest.mark.parametrize("name", ["median", "mean", "p95", "share"])
def test_a_category_named_like_a_statistic_is_a_category(name: str) -> None:
    """The effect on such a category is a share of records."""
    effect = Effect(of=name, before=0.25, after=0.5)
    assert effect_text(effect, "categorical") == f"{name} in 25.0% -> 50.0% of records"


def test_binary_feature_is_reported_as_a_share() -> None:
    """An error rate is reported as a share of records, not as quantiles of zeros and ones."""
    before, after = numbers(0, 0, 0.005), numbers(0, 1, 0.12)
    assert change_text(before, after, kind="binary", feature="error") == (
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
def test_resolution_has_the_current_level(
    before: Summary, after: Summary, kind: str, text: str
) -> None:
    """The sentence of a resolved alarm compares the current level with the reference."""
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
    st.sampled_from(["opened", "escalated", "updated", "resolved"]),
    st.text(),
)
def test_sentence_is_one_printable_line(
    before: Summary, after: Summary, kind: str, change: str, segment: str
) -> None:
    """The sentence is one printable line for all numbers and names."""
    text = sentence(event(before, after, kind=kind, change=change, segment=segment))
    assert text.isprintable()
    assert "nan" not in text
    assert text.startswith("latency_ms of chat")


def test_control_characters_in_names_are_replaced() -> None:
    """Escape sequences, C1 controls, line breaks and text direction marks are replaced."""
    text = sentence(event(numbers(), numbers(75), model="a\x1b[2J\x9b31m\nb\u202ec"))
    assert not set("\x1b\x9b\n\u202e") & set(text)
    assert "a\N{REPLACEMENT CHARACTER}[2J" in text


def test_update_corrects_the_size() -> None:
    """The sentence of an update says that the reported size was another one."""
    text = sentence(event(numbers(), numbers(75), change="updated"))
    assert text.startswith("latency_ms of chat has drifted (critical, corrected size): median 50 ")


@pytest.mark.parametrize(
    ("kind", "effect", "text"),
    [
        ("numeric", Effect(of="p95", before=200, after=300, unit="ms"),
         "p95 200 -> 300 ms (+50%), "),
        ("binary", Effect(of="share", before=0.01, after=0.2), "1.0% -> 20.0% of records, "),
        ("categorical", Effect(of="length", before=0.01, after=0.2),
         "length in 1.0% -> 20.0% of records, "),
        ("numeric", None, ""),
    ],
)  # fmt: skip
def test_resolution_has_duration_and_final_size(
    kind: str, effect: Effect | None, text: str
) -> None:
    """The sentence of a resolution says how long the change lasted and how large it became."""
    explanation = Explanation(
        since=ChangePoint(record=401, time=1.7e9 - 5_400),
        final=Size(psi=0.62, records=1000, effect=effect),
    )
    resolved = event(
        numbers(), numbers(), change="resolved", kind=kind, record=1000, explanation=explanation
    )
    assert sentence(resolved).startswith(
        "latency_ms of chat is quiet again after 600 records (1 h 30 min), "
        f"final size {text}PSI 0.62: "
    )


SINCE = Explanation(since=ChangePoint(record=838))
JUDGED = {"feature": "judge.tone", "source": Source.JUDGE, "record": 1017}


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            event(numbers(mean=4.2), numbers(mean=3.4), explanation=SINCE, **JUDGED),
            "for the last 180 judged samples",
        ),
        (
            event(numbers(), numbers(missing=0.2), psi_values=0.0, psi_missing=0.3, **JUDGED),
            "unscored in 0.0% -> 20.0% of judged samples",
        ),
        (
            event(numbers(), numbers(n=0, missing=1.0), **JUDGED),
            "no judged sample has a score any more; unscored in 0.0% -> 100.0% of judged samples",
        ),
        (
            event(numbers(), numbers(n=0, missing=1.0), change="resolved", **JUDGED),
            "no judged sample has a score",
        ),
        (
            event(
                numbers(mean=0.01),
                numbers(mean=0.2),
                kind="binary",
                **JUDGED | {"feature": "missing.judge.tone"},
            ),
            "judge.tone of chat has drifted (critical): unscored in 1.0% -> 20.0% of judged",
        ),
        (
            event(
                numbers(mean=0.9),
                numbers(mean=0.7),
                kind="binary",
                **JUDGED | {"feature": "judge.ok"},
            ),
            "90.0% -> 70.0% of judged samples",
        ),
        (
            event(
                numbers(),
                numbers(missing=0.2),
                psi_values=0.0,
                psi_missing=0.3,
                feature="feedback.thumbs",
                source=Source.FEEDBACK,
            ),
            "missing in 0.0% -> 20.0% of rated records",
        ),
    ],
)
def test_other_sources_count_their_own_samples(found: DriftEvent, text: str) -> None:
    """Judged samples are scored or unscored; a sentence about them does not mention records."""
    assert text in sentence(found)
    assert " of records" not in sentence(found)


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (0.991, 0.9996, "99.10% -> 99.96%"),
        (0.004, 0.0004, "0.40% -> 0.04%"),
        (0.9, 0.99951, "90.00% -> 99.95%"),
        (0.25, 0.5, "25.0% -> 50.0%"),
        (0.0, 1.0, "0.0% -> 100.0%"),
        (0.0, 1e-7, "0.000% -> <0.001%"),
        (1.0, 1 - 1e-7, "100.000% -> >99.999%"),
        (0.9, 1 - 1e-16, "90.0% -> 100.0%"),
    ],
)
def test_shares_have_the_digits_that_tell_them_apart(
    before: float, after: float, text: str
) -> None:
    """Two shares that differ are shown to differ, and none is rounded to 0 or 100 %."""
    assert shares_text(before, after) == text


@PURE
@given(st.floats(0, 1), st.floats(0, 1))
def test_only_zero_is_shown_as_zero(before: float, after: float) -> None:
    """A share that is neither 0 nor 1 is not shown as such, alone or in a pair."""
    texts = (*shares_text(before, after).split(" -> "), share_text(before))
    for share, text in zip((before, after, before), texts, strict=True):
        bare = text.startswith(("<", ">"))
        assert (float(text.strip("<>%")) == 0 and not bare) == (share < 1e-9)
        assert (float(text.strip("<>%")) == 100 and not bare) == (1 - share < 1e-9)
