"""Exposures of records: which count, in which arm, with which values."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.config.schema import Config
from monitor.experiments.assignment.assign import assign
from monitor.experiments.assignment.unit_hashes import unit_hashes
from monitor.experiments.exposures.columns import (
    NOT_COMPARED,
    UNNAMED,
    decode_exposures,
    encode_exposures,
)
from monitor.experiments.exposures.extract import (
    BatchExposures,
    ExposureCounts,
    ExposureExtractor,
    join,
)
from monitor.ingest import files
from monitor.ingest.decode.native.kinds import fields_of

EXPERIMENT: dict[str, Any] = {
    "variants": {"control": 1, "treatment": 1},
    "goal": "feedback",
    "secondary": ["latency_ms", "score.a"],
    "guardrails": ["error"],
}


def record(number: int, **fields: Any) -> dict[str, Any]:
    """Return a record of the experiment."""
    return {
        "request_id": f"r{number}",
        "timestamp": 1_767_225_600 + number,
        "model": "m",
        "latency_ms": 100.0 + number,
        "user_id": f"u{number}",
        "experiments": {"exp": "control" if number % 2 else "treatment"},
    } | fields


def extract(
    records: list[dict[str, Any]] | list[bytes], features: dict[str, Any] | None = None, **more: Any
) -> tuple[list[BatchExposures], ExposureCounts]:
    """Return the exposures of one experiment `exp`."""
    sections = {"experiments": {"exp": EXPERIMENT | more}, "features": features or {}}
    config = Config.model_validate(sections)
    payloads = [r if isinstance(r, bytes) else msgspec.json.encode(r) for r in records]
    decoded = files.native_decoder_for(config).many(payloads)
    assert not decoded.rejected
    extractor = files.extractor_for(config)
    batch = extractor.batch(decoded.fields, decoded.indices)
    counts = ExposureCounts()
    return ExposureExtractor(config.experiments).extract(decoded.fields, batch, counts), counts


def one(records: list[dict[str, Any]], **more: Any) -> BatchExposures:
    """Return the exposures of records of which some count."""
    (found,), _ = extract(records, **more)
    return found


def test_logged_variants_and_values() -> None:
    """By default the variant is that of the log; features are those of the metrics."""
    records = [
        record(0, feedback=1),
        record(1, feedback=None, scores={"a": 2.5, "b": 1}),
        record(2, experiments={"other": "x"}),
        record(3, experiments={"exp": "unheard-of"}, error="timeout"),
        record(4, experiments=None),
    ]
    found = one(records)
    assert found.rows.tolist() == [0, 1, 3]
    assert found.variants.tolist() == [1, 0, UNNAMED]
    assert found.compared.tolist() == [NOT_COMPARED] * 3
    assert found.units.tolist() == unit_hashes("exp", ["u0", "u1", "u3"]).tolist()
    values = dict(zip(found.features, found.values.tolist(), strict=True))
    assert values == {
        "feedback": pytest.approx([1, np.nan, np.nan], nan_ok=True),
        "latency_ms": [100, 101, 103],
        "score.a": pytest.approx([np.nan, 2.5, np.nan], nan_ok=True),
        "error": [0, 0, 1],
    }


@pytest.mark.parametrize(
    ("unit", "fields", "expected"),
    [
        ("user_id", {"user_id": 17}, "17"),
        ("user_id", {"user_id": ""}, None),
        ("user_id", {"user_id": ["u"]}, None),
        ("user_id", {"user_id": 1.5}, None),
        ("session_id", {"session_id": "s"}, "s"),
        ("session_id", {}, None),
        ("request_id", {}, "r1"),
        ("metadata.team", {"metadata": {"team": "blue"}}, "blue"),
        ("metadata.team", {"metadata": {"team": 3, "x": [1e5]}}, "3"),
        ("metadata.team", {"metadata": {"team": {}}}, None),
        ("metadata.team", {"metadata": "blue"}, None),
    ],
)
def test_units(unit: str, fields: dict[str, Any], expected: str | None) -> None:
    """The unit is the configured field; a record without one is counted and left out."""
    found, counts = extract([record(1, **fields)], unit=unit)
    assert counts.no_unit["exp"] == (expected is None)
    if expected is None:
        assert found == []
    else:
        assert found[0].units.tolist() == unit_hashes("exp", [expected]).tolist()


def test_units_of_watched_metadata() -> None:
    """Metadata that drift watches too is decoded once."""
    records = [record(1, metadata={"team": "blue"})]
    features = {"metadata": {"team": "categorical"}}
    (found,), _ = extract(records, features=features, unit="metadata.team")
    assert found.units.tolist() == unit_hashes("exp", ["blue"]).tolist()


def test_the_hash_assigns_every_record_with_a_unit() -> None:
    """With assignment by hash the logged variant is only compared."""
    records = [record(i, experiments={"exp": "control"} if i % 2 else None) for i in range(200)]
    found = one(records, assignment="hash", coverage=0.5)
    expected = [
        assign(f"u{i}", EXPERIMENT["variants"], "exp", coverage=0.5).variant for i in range(200)
    ]
    rows = [i for i, variant in enumerate(expected) if variant is not None]
    assert found.rows.tolist() == rows
    names = list(EXPERIMENT["variants"])
    assert [names[code] for code in found.variants] == [expected[i] for i in rows]
    assert found.compared.tolist() == [0 if i % 2 else NOT_COMPARED for i in rows]


def test_logged_variants_are_checked_against_the_hash() -> None:
    """With assignment `check` the variant is the logged one, compared with that of the hash."""
    found = one([record(i) for i in range(100)], assignment="check")
    names = list(EXPERIMENT["variants"])
    expected = [
        names.index(assign(f"u{i}", EXPERIMENT["variants"], "exp").variant or "")
        for i in range(100)
    ]
    assert found.variants.tolist() == [1 - i % 2 for i in range(100)]
    assert found.compared.tolist() == expected


@pytest.mark.parametrize("assignment", ["log", "hash", "check"])
def test_overrides_do_not_count(assignment: str) -> None:
    """Units whose variant was chosen by hand are left out."""
    overrides = {"u3": "control"}
    found = one([record(i) for i in range(6)], assignment=assignment, overrides=overrides)
    assert found.rows.tolist() == [0, 1, 2, 4, 5]


WRONG = [
    b'"experiments":{"exp":"control","other":1e999}',
    b'"experiments":{"exp":"control","other":"\xff"}',
    b'"experiments":{"exp":"control","other":"\\ud800"}',
    b'"experiments":{"exp":["control"]}',
    b'"experiments":{"exp":"\xff"}',
    b'"experiments":"exp"',
    b'"experiments":' + b"[" * 500 + b"]" * 500,
    b'"user_id":"\xff"',
    b'"user_id":1e999',
    b'"session_id":{"a":[1,{}]}',
    b'"feedback":"good"',
    b'"feedback":1e999',
    b'"metadata":[["\xff"]]',
]


@pytest.mark.parametrize("field", WRONG)
def test_wrong_types_lose_no_record(field: bytes) -> None:
    """A field of experiments of a wrong type rejects no record that drift would accept."""
    rest = b'{"request_id":"r","timestamp":1,"model":"m","latency_ms":5,' + field + b"}"
    good = msgspec.json.encode(record(1))
    for sections in ({}, {"experiments": {"exp": EXPERIMENT}}):
        decode = files.native_decoder_for(Config.model_validate(sections))
        found = decode.many([good, rest, good])
        assert len(found.fields) == 3
        assert found.fields.numbers[0, 1] == decode(rest).latency_ms == 5
    found_exposures, _ = extract([good, rest, good], unit="request_id")
    assert {0, 2} <= set(found_exposures[0].rows.tolist())


def test_batches_are_read_as_single_messages_are() -> None:
    """Fields of experiments do not depend on whether a batch is read into columns."""
    texts = {"prompt": "p" * 500, "response": "experiments " * 50, "contexts": ["c"] * 3}
    records = [record(i, feedback=i, session_id="s", **texts) for i in range(3)]
    payloads = [msgspec.json.encode(each) for each in records]
    decode = files.native_decoder_for(Config.model_validate({"experiments": {"exp": EXPERIMENT}}))
    found = decode.many(payloads).fields.optional
    single = fields_of([decode(payload) for payload in payloads], decode.needed).optional
    assert found is not None
    assert single is not None
    assert found.raw == single.raw
    assert found.experiments.values() == single.experiments.values()


def test_shards_hold_their_units_in_order() -> None:
    """Every exposure is in the shard of its unit, and the messages are valid."""
    found = one([record(i, feedback=i) for i in range(500)])
    both = join([found, one([record(i) for i in range(500, 600)])])
    shards = list(both.by_shard())
    assert [each.shard for each in shards] == list(range(16))
    for each in shards:
        assert decode_exposures(encode_exposures(each)).units.tolist() == each.units.tolist()
        assert (each.units >> np.uint64(60) == each.shard).all()
        assert (np.diff(each.times) > 0).all()
    times = np.concatenate([each.times for each in shards])
    feedback = np.concatenate([each.values[each.features.index("feedback")] for each in shards])
    expected = np.where(times < 1_767_225_600 + 500, times - 1_767_225_600, np.nan)
    np.testing.assert_array_equal(feedback, expected)


def test_the_exposure_of_a_record() -> None:
    """A sample gets the exposures of its record."""
    found = one([record(0, experiments=None), record(1), record(2, experiments={"exp": "x"})])
    assert found.of_record(0) is None
    assert found.of_record(3) is None
    exposure = found.of_record(1)
    assert exposure is not None
    assert (exposure.variant, exposure.unit) == ("control", found.units[0])
    other = found.of_record(2)
    assert other is not None
    assert other.variant is None
