"""From records and feedback to messages of the joins topic, and what is found of them."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.config.schema import Config
from monitor.experiments.assignment.unit_hashes import unit_hashes
from monitor.experiments.design import design_of
from monitor.experiments.exposures.extract import ExposureCounts, ExposureExtractor
from monitor.ingest import files
from monitor.ingest.chunks.chunk import decode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.decode.feedback import decode_feedback
from monitor.ingest.decode.feedback.event import FeedbackEvent
from monitor.ingest.joins.hashes import are_indexed, id_hashes, partitions_of
from monitor.ingest.joins.messages import Keys, Values, decode
from monitor.ingest.joins.state import JoinState
from monitor.kafka.topics import Topics
from monitor.records import Source
from monitor.roles import join_output
from monitor.roles.join_feedback import FeedbackRouter
from monitor.roles.join_keys import join_keys, keys_of, messages_of

EXPERIMENTS = {
    "one": {"variants": {"a": 0.5, "b": 0.5}, "goal": "feedback"},
    "two": {"variants": {"a": 0.5, "b": 0.5}, "goal": "feedback.x", "unit": "session_id"},
}
CONFIG = Config.model_validate(
    {
        "experiments": EXPERIMENTS,
        "segments": ["metadata.route"],
        "features": {"metadata": {"route": "categorical"}},
        "feedback": {"join": {}},
    }
)
TIME = 1_000_000.0


def keys(records: list[dict[str, Any]], rate: float = 1.0) -> Keys:
    """Return the keys of native records."""
    payloads = [
        msgspec.json.encode({"timestamp": TIME, "model": "m", "latency_ms": 1} | fields)
        for fields in records
    ]
    decoded = files.decoder_for(CONFIG).many(payloads)
    assert not decoded.rejected
    batch = files.extractor_for(CONFIG).batch(decoded.fields, np.arange(len(records)))
    extractor = ExposureExtractor(CONFIG.experiments)
    exposures = extractor.extract(decoded.fields, batch, ExposureCounts())
    return keys_of(decoded.fields, batch, exposures, CONFIG.segments, rate)


def test_a_record_is_found_by_each_of_its_ids() -> None:
    """The request id, the trace, and the span within its trace have a key, each once."""
    span = {"request_id": "r", "trace_id": "t", "span_id": "s"}
    assert set(keys([span]).ids) == set(id_hashes(["r", "t", "t/s"]))
    assert set(keys([{"request_id": "t", "trace_id": "t"}]).ids) == set(id_hashes(["t"]))
    assert set(keys([{"request_id": "", "trace_id": 7}]).ids) == set(id_hashes(["7"]))
    assert not len(keys([{"request_id": ""}]))
    assert not len(join_keys([keys([{"request_id": ""}])]))


def test_a_key_has_model_segments_variants_and_units() -> None:
    """What a record is part of is in its context, and its units are in the order of the arms."""
    found = keys(
        [
            {"request_id": "0", "model": "x"},
            {
                "request_id": "1",
                "experiments": {"one": "b", "two": "a"},
                "user_id": "u",
                "session_id": "v",
                "metadata": {"route": "search"},
            },
            {"request_id": "2", "experiments": {"two": "unknown"}, "session_id": "w"},
        ]
    )
    contexts = [found.contexts[code] for code in found.codes]
    phases = {name: design_of(name, each).phase for name, each in CONFIG.experiments.items()}
    assert [context.model for context in contexts] == ["x", "m", "m"]
    assert [context.segments for context in contexts] == [(), (("metadata.route", "search"),), ()]
    arms = [[(a.experiment, a.phase, a.variant) for a in context.arms] for context in contexts]
    assert arms == [
        [],
        [("one", phases["one"], "b"), ("two", phases["two"], "a")],
        [("two", phases["two"], None)],
    ]
    one, two = unit_hashes("one", ["u"])[0], unit_hashes("two", ["v", "w"])
    assert found.units.tolist() == [[0, 0], [one, two[0]], [two[1], 0]]


def test_joined_keys_are_those_of_all_batches() -> None:
    """Batches with other contexts and other numbers of units are concatenated."""
    pieces = [
        keys([{"request_id": "0", "model": "x"}]),
        keys([{"request_id": "1", "experiments": {"one": "a"}, "user_id": "u"}]),
        keys([{"request_id": "2", "model": "x"}]),
    ]
    joined = join_keys(pieces)
    assert joined.ids.tolist() == id_hashes(["0", "1", "2"]).tolist()
    assert [joined.contexts[code].model for code in joined.codes] == ["x", "m", "x"]
    assert len(joined.contexts) == 2
    assert joined.units.shape == (3, 1)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_messages_are_in_the_partition_of_their_ids(count: int) -> None:
    """Each id is in one message, in the partition of its hash; partitions are about as large."""
    batch = keys([{"request_id": f"r{i}"} for i in range(1_000)])
    ids: list[int] = []
    for number, payload in messages_of(batch, count):
        found = decode(payload)
        assert isinstance(found, Keys)
        assert (partitions_of(found.ids, count) == number).all()
        assert 0.7 < len(found) * count / 1_000 < 1.3
        ids += found.ids.tolist()
    assert sorted(ids) == sorted(batch.ids.tolist())


def test_the_rate_keeps_the_same_ids_everywhere() -> None:
    """Ids and feedback outside of the rate are left out, by the hash of the id alone."""
    names = [f"r{i}" for i in range(4_000)]
    kept = are_indexed(id_hashes(names), 0.25)
    assert 0.2 < kept.mean() < 0.3
    assert (are_indexed(id_hashes(names), 0.5) >= kept).all()
    found = keys([{"request_id": name} for name in names], 0.25)
    assert found.ids.tolist() == id_hashes(names)[kept].tolist()
    rated = CONFIG.model_validate({"feedback": {"join": {"rate": 0.25}}})
    events = [FeedbackEvent(name, {"x": 1.0, "y": 0.0}, TIME) for name in names]
    routed = FeedbackRouter(rated).route(events)
    assert routed.outcomes["not_indexed"] == 2 * int((~kept).sum())
    values = [decode(each.value or b"") for each in routed.messages]
    assert sum(map(len, values)) == 2 * int(kept.sum())


def joined(config: Config, payloads: list[bytes], records: list[dict[str, Any]]) -> JoinState:
    """Return the state with feedback messages and records."""
    state = JoinState(86_400, 30)
    events = [event for each in payloads for event in decode_feedback(each, TIME).events]
    state.add_keys(keys(records), 0, TIME)
    for offset, out in enumerate(FeedbackRouter(config).route(events).messages, 1):
        batch = decode(out.value or b"")
        if isinstance(batch, Values):
            state.add_values(batch, offset, TIME)
        else:
            state.add_keys(batch, offset, TIME)
    return state


def test_feedback_becomes_chunks_with_segments() -> None:
    """A chunk has the values of an event as one record, with the segment that the record is in."""
    record = {"request_id": "1", "metadata": {"route": "search"}}
    payload = b'{"request_id":"1","feedback":1,"scores":{"x":0.5},"timestamp":1000060}'
    state = joined(CONFIG, [payload], [record, {"request_id": "2"}])
    assert not len(state.due(TIME + 29))
    found = list(columns(state))
    assert len(found) == 1
    (chunk,) = found
    assert (chunk.model, chunk.source, chunk.numeric) == (
        "m",
        Source.FEEDBACK,
        ("feedback", "feedback.x"),
    )
    assert chunk.values.tolist() == [[1.0], [0.5]]
    assert chunk.times.tolist() == [TIME + 60]
    assert chunk.texts("metadata.route") == ["search"]


def columns(state: JoinState) -> list[Columns]:
    """Return the chunks of what is due."""
    found = join_output.messages(Topics("p"), state.due(TIME + 31), CONFIG.segments, ())
    return [decode_chunk(each.value or b"") for each in found]


def test_names_are_limited() -> None:
    """Names beyond the limit are skipped; the first ones go on."""
    limited = Config.model_validate({"feedback": {}, "limits": {"scores": 1}})
    router = FeedbackRouter(limited)
    events = [FeedbackEvent(f"r{i}", {f"n{i}": 1.0}, TIME, "m") for i in range(10)]
    routed = router.route(events)
    assert routed.skipped == {"too_many_names": 6}
    assert not router.route(events[:4]).skipped
