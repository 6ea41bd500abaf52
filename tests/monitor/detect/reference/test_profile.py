"""Reference profiles: content, id and serialised form."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.dependence import BLOCK_SIZE
from monitor.detect.reference import builder
from monitor.detect.reference.builder import FALLBACK_RATE
from monitor.detect.reference.profile import Profile, ProfileError
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from tests.monitor import synthetic

STREAM = synthetic.stream(1000, seed=1)


def built(*pieces: Columns, segment: str = "", window: int = 100) -> Profile:
    """Return the profile of these pieces."""
    return builder.build(list(pieces), segment=segment, window=window, categories=3)


WHOLE = built(STREAM)


@synthetic.SLOW_PROPERTY
@given(synthetic.cuttings(len(STREAM)))
def test_id_does_not_depend_on_chunks(marks: list[int]) -> None:
    """Any chunking of the same records gives the same profile."""
    assert built(*synthetic.cut(STREAM, marks)).id == WHOLE.id


def test_id_does_not_depend_on_the_order_of_features() -> None:
    """The order in which features first appear in the log does not matter."""
    late = np.where(np.arange(1000) < 500, np.nan, 1.0)
    early = np.where(np.arange(1000) < 500, 2.0, np.nan)
    stream = synthetic.with_feature(
        synthetic.with_feature(STREAM, "score.a", late), "score.b", early
    )
    assert built(*synthetic.cut(stream, [500])).id == built(stream).id


def test_feature_without_values_is_left_out() -> None:
    """A feature name without any value, as in a segment of a chunk, is no stream."""
    stream = synthetic.with_feature(STREAM, "score.none", np.full(1000, np.nan))
    stream = synthetic.with_categories(stream, "metadata.none", [None] * 1000)
    assert built(stream).id == WHOLE.id


CHANGES = {
    "model": synthetic.stream(1000, seed=1, model="n"),
    "a value": synthetic.with_values(STREAM, "latency_ms", np.nextafter(STREAM.values[0], np.inf)),
    "a missing value": synthetic.with_values(
        STREAM, "input_tokens", np.where(np.arange(1000) == 7, np.nan, STREAM.values[1])
    ),
    "a category": synthetic.with_categories(STREAM, "finish_reason", ["stop"] * 999 + ["length"]),
    "the records": synthetic.stream(999, seed=1),
    "the order of records": synthetic.with_values(STREAM, "latency_ms", np.sort(STREAM.values[0])),
    "times": synthetic.stream(1000, seed=1, first=1),
    "a feature": synthetic.with_feature(STREAM, "score.x", np.ones(1000)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_id_changes_with_any_content(change: str) -> None:
    """Different records give a different id."""
    assert built(CHANGES[change]).id != WHOLE.id


def test_id_changes_with_segment_and_window() -> None:
    """The same records give another id for another segment or window."""
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
def test_decoding_restores_the_profile(
    rows: tuple[list[float], list[float], list[int]],
) -> None:
    """A decoded profile has the same values, counts and id."""
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
    restored = Profile.decode(profile.encode())
    assert restored.id == profile.id
    assert restored.encode() == profile.encode()
    assert (restored.model, restored.segment, restored.records) == ("m", "", n)
    assert restored.records_per_second == profile.records_per_second
    baseline, decoded = profile.baseline, restored.baseline
    for before, after in zip(baseline.numeric, decoded.numeric, strict=True):
        for name in ("support", "below", "edges", "cuts", "blocks"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert (after.name, after.kind, after.missing) == (before.name, before.kind, before.missing)
        assert after.inflation == before.inflation
        assert after.blocks.shape == (n // BLOCK_SIZE, len(before.cuts) + 2)
        kept = np.array(numbers if before.name == "x" else flags)
        np.testing.assert_array_equal(after.values(), np.sort(kept[~np.isnan(kept)]))
    for first, second in zip(baseline.categorical, decoded.categorical, strict=True):
        np.testing.assert_array_equal(second.counts, first.counts)
        np.testing.assert_array_equal(second.blocks, first.blocks)
        assert second.blocks.shape == (n // BLOCK_SIZE, first.cells)
        assert second.inflation == first.inflation
        assert (second.categories, second.missing, second.other) == (
            first.categories,
            first.missing,
            first.other,
        )
        assert second.count + second.missing == n
    json.dumps(restored.describe(), allow_nan=False)


def test_description_has_neither_nan_nor_infinity() -> None:
    """Mean and quantiles of a feature with infinite values are null."""
    wild = synthetic.with_values(STREAM, "latency_ms", np.full(1000, np.inf))
    row = built(wild).describe()["features"]["latency_ms"]
    assert (row["n"], row["mean"], row["p50"], row["p95"]) == (1000, None, None, None)


def test_description_is_exact() -> None:
    """Counts, kinds, quantiles and shares are those of the records."""
    fields = WHOLE.describe()
    latency = fields["features"]["latency_ms"]
    known = np.sort(STREAM.values[0][~np.isnan(STREAM.values[0])])
    assert latency["kind"] == "numeric"
    assert latency["n"] == len(known)
    assert latency["p50"] == known[int(np.ceil(0.5 * len(known))) - 1]
    assert latency["mean"] == pytest.approx(known.mean())
    assert fields["features"]["error"]["kind"] == "binary"
    reasons = fields["features"]["finish_reason"]
    column = STREAM.categories[0]
    stops = float((column.codes == column.vocabulary.index("stop")).mean())
    assert reasons["shares"] == pytest.approx({"stop": stops, "length": 1 - stops})
    assert (fields["records"], fields["id"]) == (1000, WHOLE.id)
    assert (fields["first_time"], fields["last_time"]) == (STREAM.times[0], STREAM.times[-1])


def test_rate_is_that_of_the_records() -> None:
    """The record rate follows from the times of the records."""
    assert WHOLE.records_per_second == pytest.approx(synthetic.RATE, rel=0.01)


@pytest.mark.parametrize("wrong", [0.0, 7e9])
def test_few_wrong_clocks_do_not_change_the_rate(wrong: float) -> None:
    """Up to one record in twenty on either side may have any time."""
    times = STREAM.times.copy()
    times[::25] = wrong
    skewed = Columns("m", STREAM.positions, times, STREAM.numeric, STREAM.binary, STREAM.values, ())
    assert built(skewed).records_per_second == pytest.approx(synthetic.RATE, rel=0.05)


def test_rate_of_equal_times_is_assumed() -> None:
    """Records with equal times have the fallback rate."""
    times = np.full(1000, synthetic.START)
    still = Columns("m", STREAM.positions, times, (), ("error",), STREAM.values[2:], ())
    assert built(still).records_per_second == FALLBACK_RATE


def test_later_version_is_an_error() -> None:
    """The error has the version of the profile and the supported one."""
    data = msgspec.msgpack.decode(WHOLE.encode())
    with pytest.raises(ProfileError, match="version 3; this program reads 2"):
        Profile.decode(msgspec.msgpack.encode([3, *data[1:]]))


def test_first_version_is_an_error() -> None:
    """The version is checked before the fields, which were different in version 1."""
    empty = b""
    numeric = ["latency_ms", "numeric", empty, b"\0" * 8, 0, empty, b"\0" * 8, empty, empty, 1.0]
    categorical = ["finish_reason", ["stop"], b"\1" + b"\0" * 7, 0, 0]
    first = [1, "m", "", 1, 0.0, 0.0, 100.0, [numeric], [categorical]]
    with pytest.raises(ProfileError) as caught:
        Profile.decode(msgspec.msgpack.encode(first))
    assert str(caught.value) == "profile of version 1; this program reads 2"


def test_profile_depends_on_the_order_of_categories() -> None:
    """Categories in bursts give another profile than shuffled ones, with a larger inflation."""
    reasons = ["stop", "length", "tool_calls"] * 20
    bursts = [name for name in reasons * 2 for _ in range(50)]
    shuffled = np.random.default_rng(3).permutation(bursts).tolist()
    stream = synthetic.stream(len(bursts), seed=1)
    found = [
        built(synthetic.with_categories(stream, "finish_reason", names))
        for names in (bursts, shuffled)
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
def test_arrays_of_wrong_length_are_an_error(field: int, value: bytes) -> None:
    """A profile with inconsistent arrays cannot be decoded."""
    data = msgspec.msgpack.decode(WHOLE.encode())
    numeric = data[7][1]
    assert isinstance(numeric[field], bytes)
    assert numeric[field] != value
    numeric[field] = value
    with pytest.raises(ProfileError, match="differ in length"):
        Profile.decode(msgspec.msgpack.encode(data))


def test_wrong_number_of_counts_is_an_error() -> None:
    """Each category has one count."""
    data = msgspec.msgpack.decode(WHOLE.encode())
    data[8][0][2] = data[8][0][2][:-8]
    with pytest.raises(ProfileError, match="differ in length"):
        Profile.decode(msgspec.msgpack.encode(data))


def test_wrong_number_of_block_counts_is_an_error() -> None:
    """Each block has one count for each bin."""
    data = msgspec.msgpack.decode(WHOLE.encode())
    assert len(data[8][0][5]) == 10 * WHOLE.baseline.categorical[0].bins
    data[8][0][5] = data[8][0][5][:-1]
    with pytest.raises(ProfileError, match="differ in length"):
        Profile.decode(msgspec.msgpack.encode(data))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"{}", b"\x91\x01", b"plain text"])
def test_other_bytes_are_an_error(payload: bytes) -> None:
    """Bytes that are not a profile raise ProfileError."""
    with pytest.raises(ProfileError):
        Profile.decode(payload)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_damaged_bytes_raise_profile_error_only(data: st.DataObject) -> None:
    """A truncated or changed profile is decoded or raises ProfileError."""
    payload = bytearray(built(STREAM.take(slice(0, 60))).encode())
    at = data.draw(st.integers(0, len(payload) - 1))
    if data.draw(st.booleans()):
        payload[at] = data.draw(st.integers(0, 255))
    else:
        del payload[at:]
    with suppress(ProfileError):
        assert Profile.decode(bytes(payload)).encode()
