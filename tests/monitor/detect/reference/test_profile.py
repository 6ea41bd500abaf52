"""A profile: what it keeps, its id, its bytes."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.dependence import BLOCK
from monitor import reference
from monitor.columns import CategoryColumn, Columns
from monitor.reference import UNKNOWN_RATE, Profile, ProfileError
from tests.monitor import made

STREAM = made.stream(1000, seed=1)


def built(*pieces: Columns, segment: str = "", window: int = 100) -> Profile:
    """A profile of these pieces."""
    return reference.build(list(pieces), segment=segment, window=window, categories=3)


WHOLE = built(STREAM)


@made.SLOW_PROPERTY
@given(made.cuttings(len(STREAM)))
def test_id_does_not_depend_on_chunks(marks: list[int]) -> None:
    """The same records make the same profile, however they are cut."""
    assert built(*made.cut(STREAM, marks)).id == WHOLE.id


def test_id_does_not_depend_on_the_order_in_which_features_appear() -> None:
    """Which feature or category the log happens to name first does not matter."""
    late = np.where(np.arange(1000) < 500, np.nan, 1.0)
    early = np.where(np.arange(1000) < 500, 2.0, np.nan)
    stream = made.with_feature(made.with_feature(STREAM, "score.a", late), "score.b", early)
    assert built(*made.cut(stream, [500])).id == built(stream).id


def test_feature_without_a_value_is_not_in_it() -> None:
    """A name that stands for nothing, as in a part of a chunk, makes no stream."""
    stream = made.with_feature(STREAM, "score.none", np.full(1000, np.nan))
    stream = made.with_categories(stream, "metadata.none", [None] * 1000)
    assert built(stream).id == WHOLE.id


CHANGES = {
    "model": made.stream(1000, seed=1, model="n"),
    "a value": made.with_values(STREAM, "latency_ms", np.nextafter(STREAM.values[0], np.inf)),
    "a missing value": made.with_values(
        STREAM, "input_tokens", np.where(np.arange(1000) == 7, np.nan, STREAM.values[1])
    ),
    "a category": made.with_categories(STREAM, "finish_reason", ["stop"] * 999 + ["length"]),
    "the records": made.stream(999, seed=1),
    "the order of records": made.with_values(STREAM, "latency_ms", np.sort(STREAM.values[0])),
    "times": made.stream(1000, seed=1, first=1),
    "a feature": made.with_feature(STREAM, "score.x", np.ones(1000)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_id_changes_with_any_content(what: str) -> None:
    """Other records are another profile."""
    assert built(CHANGES[what]).id != WHOLE.id


def test_id_changes_with_segment_and_window() -> None:
    """So are other uses of the same records."""
    assert len({WHOLE.id, built(STREAM, segment="a=b").id, built(STREAM, window=200).id}) == 3


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.integers(1, 230).flatmap(
        lambda n: st.tuples(
            st.lists(NUMBERS, min_size=n, max_size=n),
            st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=n, max_size=n),
            st.lists(st.integers(-1, 4), min_size=n, max_size=n),
        )
    )
)
def test_profile_survives_its_bytes(
    rows: tuple[list[float], list[float], list[int]],
) -> None:
    """What is decoded is what was encoded: all numbers, all counts, the id."""
    numbers, flags, codes = rows
    n = len(numbers)
    columns = Columns(
        "m",
        np.arange(n),
        np.arange(n).astype(np.float64),
        ("x",),
        ("flag",),
        np.array([numbers, flags]),
        (CategoryColumn("c", ("a", "b", "", "é", "x" * 99), np.array(codes, np.int16)),),
    )
    profile = built(columns)
    again = Profile.decode(profile.encode())
    assert again.id == profile.id
    assert again.encode() == profile.encode()
    assert (again.model, again.segment, again.records) == ("m", "", n)
    assert again.records_per_second == profile.records_per_second
    baseline, restored = profile.baseline, again.baseline
    for ours, theirs in zip(baseline.numeric, restored.numeric, strict=True):
        for name in ("support", "below", "edges", "cuts", "blocks"):
            np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))
        assert (theirs.name, theirs.kind, theirs.missing) == (ours.name, ours.kind, ours.missing)
        assert theirs.inflation == ours.inflation
        assert theirs.blocks.shape == (n // BLOCK, len(ours.cuts) + 2)
        kept = np.array(numbers if ours.name == "x" else flags)
        np.testing.assert_array_equal(theirs.values(), np.sort(kept[~np.isnan(kept)]))
    for mine, other in zip(baseline.categorical, restored.categorical, strict=True):
        np.testing.assert_array_equal(other.counts, mine.counts)
        np.testing.assert_array_equal(other.blocks, mine.blocks)
        assert other.blocks.shape == (n // BLOCK, mine.bins)
        assert other.inflation == mine.inflation
        assert (other.categories, other.missing, other.other) == (
            mine.categories,
            mine.missing,
            mine.other,
        )
        assert other.count + other.missing == n
    json.dumps(again.describe(), allow_nan=False)


def test_description_has_neither_nan_nor_infinity() -> None:
    """What a feature of infinities has for quantiles is null in JSON."""
    wild = made.with_values(STREAM, "latency_ms", np.full(1000, np.inf))
    row = built(wild).describe()["features"]["latency_ms"]
    assert (row["n"], row["mean"], row["p50"], row["p95"]) == (1000, None, None, None)


def test_description_tells_what_the_records_hold() -> None:
    """Counts, kinds, quantiles and shares are those of the records."""
    plain = WHOLE.describe()
    latency = plain["features"]["latency_ms"]
    known = np.sort(STREAM.values[0][~np.isnan(STREAM.values[0])])
    assert latency["kind"] == "numeric"
    assert latency["n"] == len(known)
    assert latency["p50"] == known[int(np.ceil(0.5 * len(known))) - 1]
    assert latency["mean"] == pytest.approx(known.mean())
    assert plain["features"]["error"]["kind"] == "binary"
    reasons = plain["features"]["finish_reason"]
    column = STREAM.categories[0]
    stops = float((column.codes == column.vocabulary.index("stop")).mean())
    assert reasons["shares"] == pytest.approx({"stop": stops, "length": 1 - stops})
    assert (plain["records"], plain["id"]) == (1000, WHOLE.id)
    assert (plain["first_time"], plain["last_time"]) == (STREAM.times[0], STREAM.times[-1])


def test_rate_is_that_of_the_records() -> None:
    """Records a second, by the times of the records."""
    assert WHOLE.records_per_second == pytest.approx(made.RATE, rel=0.01)


@pytest.mark.parametrize("wrong", [0.0, 7e9])
def test_a_few_wrong_clocks_do_not_move_the_rate(wrong: float) -> None:
    """Up to one record in twenty on either side may have any time at all."""
    times = STREAM.times.copy()
    times[::25] = wrong
    skewed = Columns("m", STREAM.positions, times, STREAM.numeric, STREAM.binary, STREAM.values, ())
    assert built(skewed).records_per_second == pytest.approx(made.RATE, rel=0.05)


def test_rate_of_a_moment_is_assumed() -> None:
    """Records that all have one time say nothing of their rate."""
    times = np.full(1000, made.START)
    still = Columns("m", STREAM.positions, times, (), ("error",), STREAM.values[2:], ())
    assert built(still).records_per_second == UNKNOWN_RATE


def test_unknown_version_is_refused() -> None:
    """A profile of a version to come is not misread."""
    data = msgspec.msgpack.decode(WHOLE.encode())
    with pytest.raises(ProfileError, match="version 3; this program reads 2"):
        Profile.decode(msgspec.msgpack.encode([3, *data[1:]]))


def test_first_version_is_refused_for_its_version() -> None:
    """What an earlier program wrote, whose streams had other fields, is named as what it is."""
    empty = b""
    numeric = ["latency_ms", "numeric", empty, b"\0" * 8, 0, empty, b"\0" * 8, empty, empty, 1.0]
    categorical = ["finish_reason", ["stop"], b"\1" + b"\0" * 7, 0, 0]
    first = [1, "m", "", 1, 0.0, 0.0, 100.0, [numeric], [categorical]]
    with pytest.raises(ProfileError) as caught:
        Profile.decode(msgspec.msgpack.encode(first))
    assert str(caught.value) == "profile of version 1; this program reads 2"


def test_a_profile_remembers_the_order_of_categories() -> None:
    """Reasons in bursts are another profile than the same reasons shuffled, and worth less."""
    reasons = ["stop", "length", "tool_calls"] * 20
    bursts = [name for name in reasons * 2 for _ in range(50)]
    shuffled = np.random.default_rng(3).permutation(bursts).tolist()
    stream = made.stream(len(bursts), seed=1)
    found = [
        built(made.with_categories(stream, "finish_reason", names)) for names in (bursts, shuffled)
    ]
    restored = [Profile.decode(profile.encode()).baseline.categorical for profile in found]
    inflation = [
        next(s.inflation for s in streams if s.name == "finish_reason") for streams in restored
    ]
    assert inflation[0] > 20
    assert inflation[1] < 2
    assert found[0].id != found[1].id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (2, b"1234567"),  # support
        (3, b""),  # below
        (5, b"x" * 9),  # edges
        (6, b""),  # cuts
        (7, b"y"),  # blocks
    ],
)
def test_columns_that_disagree_are_refused(field: int, value: bytes) -> None:
    """A profile whose arrays do not fit together is not half used."""
    data = msgspec.msgpack.decode(WHOLE.encode())
    numeric = data[7][1]
    assert isinstance(numeric[field], bytes)
    assert numeric[field] != value
    numeric[field] = value
    with pytest.raises(ProfileError, match="differ in length"):
        Profile.decode(msgspec.msgpack.encode(data))


def test_counts_that_do_not_fit_categories_are_refused() -> None:
    """Each category has one count."""
    data = msgspec.msgpack.decode(WHOLE.encode())
    data[8][0][2] = data[8][0][2][:-8]
    with pytest.raises(ProfileError, match="differ in length"):
        Profile.decode(msgspec.msgpack.encode(data))


def test_blocks_that_do_not_fit_categories_are_refused() -> None:
    """Each block has one count for each bin."""
    data = msgspec.msgpack.decode(WHOLE.encode())
    assert len(data[8][0][5]) == 10 * WHOLE.baseline.categorical[0].bins
    data[8][0][5] = data[8][0][5][:-1]
    with pytest.raises(ProfileError, match="differ in length"):
        Profile.decode(msgspec.msgpack.encode(data))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"{}", b"\x91\x01", b"plain text"])
def test_other_bytes_are_refused(payload: bytes) -> None:
    """What is no profile raises ProfileError and nothing else."""
    with pytest.raises(ProfileError):
        Profile.decode(payload)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_damaged_bytes_raise_nothing_else(data: st.DataObject) -> None:
    """Cut or changed anywhere, a profile is read or refused, and never a crash."""
    payload = bytearray(built(STREAM.take(slice(0, 60))).encode())
    at = data.draw(st.integers(0, len(payload) - 1))
    if data.draw(st.booleans()):
        payload[at] = data.draw(st.integers(0, 255))
    else:
        del payload[at:]
    with suppress(ProfileError):
        assert Profile.decode(bytes(payload)).encode()
