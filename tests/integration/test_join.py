"""Feedback on a real broker: joined with its record by id, once, whatever is killed."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.experiments.exposures.columns import Exposures, decode_exposures
from monitor.ingest.chunks.columns import Columns
from monitor.kafka.topics import Topics
from monitor.records import Source
from tests.integration.broker import KafkaBroker
from tests.integration.experiments import EXPERIMENT, NAME, START
from tests.integration.harness import (
    SHORT_SESSION,
    Daemon,
    chunks,
    header,
    produce,
    read_all,
    until,
)
from tests.integration.role_panels import (
    panels_without_data,
    scraping,
    selectors_without_series,
)
from tests.long_form import long_only

DAY = 86_400.0


def start(
    broker: KafkaBroker,
    folder: Path,
    log: str,
    feedback: str,
    stack: ExitStack,
    settle: float,
    **sections: Any,
) -> Daemon:
    """Start a daemon that ingests and joins."""
    kafka = {"partitions": 4, "client": SHORT_SESSION, "feedback": feedback}
    daemon = Daemon(
        folder,
        broker.bootstrap,
        prefix=log,
        logs=[log],
        roles="ingest,join",
        kafka=kafka,
        feedback={"join": {"horizon": "24h", "rate": 1.0}, "settle": settle},
        **sections,
    )
    return stack.enter_context(daemon)


def rated(broker: KafkaBroker, prefix: str) -> list[Columns]:
    """Return the chunks of feedback."""
    return [each for each in chunks(broker.bootstrap, prefix) if each.source is Source.FEEDBACK]


def values(broker: KafkaBroker, prefix: str) -> Counter[tuple[str, str, float]]:
    """Count the values in chunks of feedback, by model and feature."""
    found: Counter[tuple[str, str, float]] = Counter()
    for chunk in rated(broker, prefix):
        for name, row in zip(chunk.numeric, chunk.values, strict=True):
            found.update((chunk.model, name, v) for v in row[~np.isnan(row)].tolist())
    return found


def exposures(broker: KafkaBroker, prefix: str) -> list[Exposures]:
    """Return the exposures of feedback."""
    found = [
        decode_exposures(message.value() or b"")
        for message in read_all(broker.bootstrap, Topics(prefix).exposures)
    ]
    return [each for each in found if each.source is Source.FEEDBACK]


def record(i: int, **more: Any) -> bytes:
    """Return a record with an id and a user of its own."""
    fields = {"request_id": f"r{i}", "timestamp": START + i, "model": f"m{i % 2}"}
    variant = "treatment" if i % 2 else "control"
    fields |= {"user_id": f"u{i}", "experiments": {NAME: variant}}
    return msgspec.json.encode(fields | more)


def event(i: int, value: float, **more: Any) -> bytes:
    """Return a feedback event."""
    fields = {"request_id": f"r{i}", "feedback": value, "timestamp": START + i + 60}
    return msgspec.json.encode(fields | more)


def test_feedback_finds_its_record_or_brings_its_own_key(
    real_broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path
) -> None:
    """Values become chunks of source feedback and exposures; the newest of an id and name counts,
    what is malformed is a dead letter, and what has no value is skipped.
    """
    log, feedback = topic(partitions=2), topic(partitions=2)
    direct = {"model": "m9", "user_id": "u70", "experiments": {NAME: "treatment"}}
    events = [
        event(1, 0.25),
        event(1, 1),  # replaces it
        event(2, 0.5, scores={"helpful": 4}),
        event(70, 0.75, **direct),
        event(70, 0.125, **direct),
        b'{"run_id": "r3", "key": "correct", "score": true, "created_at": null}',
        b'{"trace_id": "t4", "value": -1}',
        b'{"request_id": "r5", "feedback": null, "timestamp": 1}',
        b'{"request_id": "r6", "feedback": [1], "timestamp": 1}',
        b"no json",
        event(7, 1),  # no such record
    ]
    begun = time.time()
    with ExitStack() as stack:
        experiments = {NAME: EXPERIMENT}
        daemon = start(real_broker, tmp_path, log, feedback, stack, 3.0, experiments=experiments)
        daemon.wait_ready()
        prometheus = stack.enter_context(scraping(daemon, tmp_path))
        present = {"timestamp": time.time()}  # the feedback of a trace has no time of its own
        written = [record(1), record(2), record(4, trace_id="t4", **present)]
        produce(real_broker.bootstrap, feedback, events[:5])
        produce(real_broker.bootstrap, log, written)
        produce(real_broker.bootstrap, feedback, events[5:])
        daemon.wait_metric("feedback_values_total", 7)
        until(lambda: values(real_broker, log).total() >= 5, "the values")
        assert daemon.metric("feedback_values_total", outcome="replaced") == 2
        assert daemon.metric("feedback_skipped_total", kind="no_value") == 1
        assert daemon.metric("feedback_rejected_total") == 2
        scraped = 'count_over_time(plumbline_feedback_values_total{outcome="replaced"}[9s]) > 3'
        until(lambda: bool(prometheus.query(scraped)), "the scrape of the values")
        assert selectors_without_series(prometheus, "feedback_|join_") == []
        without = panels_without_data(prometheus, "plumbline", "feedback_|join_", begun, least=12)
        assert without == []
        assert daemon.stop() == 0
    assert values(real_broker, log) == {
        ("m1", "feedback", 1.0): 1,
        ("m0", "feedback", 0.5): 1,
        ("m0", "feedback.helpful", 4.0): 1,
        ("m0", "feedback", -1.0): 1,
        ("m9", "feedback", 0.125): 1,
    }
    letters = read_all(real_broker.bootstrap, Topics(log).dead_letters)
    assert sorted(header(each, "plumbline.reason") for each in letters) == [
        "not_json",
        "wrong_type",
    ]
    assert {header(each, "plumbline.topic") for each in letters} == {feedback}
    arms: Counter[tuple[str, float]] = Counter()
    for each in exposures(real_broker, log):
        row = each.values[each.features.index("feedback")]
        arms.update((each.arms[c], v) for c, v in zip(each.variants, row.tolist(), strict=True))
    assert arms == {
        ("treatment", 1.0): 1,
        ("control", 0.5): 1,
        ("control", -1.0): 1,
        ("treatment", 0.125): 1,
    }


def traffic(n: int, seed: int) -> tuple[list[bytes], list[bytes], Counter[tuple[str, str, float]]]:
    """Return n records of a day, feedback for a tenth of them that is up to a day late, and the
    values that are expected; some feedback has no record.
    """
    random = np.random.default_rng(seed)
    times = START + np.sort(random.random(n)) * DAY
    records = [
        msgspec.json.encode({"request_id": f"r{i}", "timestamp": t, "model": f"m{i % 3}"})
        for i, t in enumerate(times.tolist())
    ]
    chosen = np.sort(random.choice(n, n // 10, replace=False))
    late = times[chosen] + random.random(len(chosen)) * DAY
    expected = Counter((f"m{i % 3}", "feedback", float(i)) for i in chosen.tolist())
    events = [
        (t, {"request_id": f"r{i}", "feedback": float(i), "timestamp": t})
        for i, t in zip(chosen.tolist(), late.tolist(), strict=True)
    ]
    events += [
        (t, {"request_id": f"x{t}", "feedback": -1, "timestamp": t}) for t in late[:50].tolist()
    ]
    ordered = sorted(events, key=lambda each: each[0])
    return records, [msgspec.json.encode(fields) for _, fields in ordered], expected


def pieces(items: list[bytes], count: int) -> Iterator[list[bytes]]:
    """Yield the items in equal parts."""
    size = -(-len(items) // count)
    return (items[start : start + size] for start in range(0, len(items), size))


@pytest.mark.parametrize("first", ["records", "feedback"])
def test_three_processes_one_of_which_is_killed_join_every_value_once(
    first: str, real_broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path
) -> None:
    """Kills and rebalances neither lose nor repeat a value, whichever side is ahead."""
    log, feedback = topic(partitions=3), topic(partitions=3)
    records, events, expected = traffic(20_000, 1)
    with ExitStack() as stack:
        daemons = [start(real_broker, tmp_path, log, feedback, stack, 0.5) for _ in range(2)]
        for daemon in daemons:
            daemon.wait_ready()
        sides = [(log, part) for part in pieces(records, 4)]
        others = [(feedback, part) for part in pieces(events, 4)]
        if first == "feedback":
            sides, others = others, sides
        order = [*sides[:2], others[0], *sides[2:], *others[1:]]
        for step, (name, part) in enumerate(order):
            produce(real_broker.bootstrap, name, part)
            if step == 3:
                until(lambda: values(real_broker, log).total() > 0, "the first values")
                daemons[0].kill()
                daemons.append(start(real_broker, tmp_path, log, feedback, stack, 0.5))
            if step == 5:
                daemons.append(start(real_broker, tmp_path, log, feedback, stack, 0.5))
        until(lambda: values(real_broker, log).total() >= expected.total(), "all values")
        daemons[1].wait_ready()
        assert [daemon.stop() for daemon in daemons[1:]] == [0, 0, 0]
    assert values(real_broker, log) == expected


SLICES = 24
"""Parts of the two days of `test_ten_million_ids`."""
IDS = int(os.environ.get("PLUMBLINE_JOIN_IDS", "10000000"))


def timeline(n: int) -> Iterator[tuple[list[bytes], list[bytes], np.ndarray]]:
    """Yield records and feedback of each part of two days, and the numbers of the records so far
    that have feedback. A tenth of n records of the first day does, up to a day later.
    """
    random = np.random.default_rng(7)
    times = START + np.sort(random.random(n)) * DAY
    chosen = np.sort(random.choice(n, n // 10, replace=False))
    late = times[chosen] + random.random(len(chosen)) * DAY
    order = np.argsort(late)
    for end in START + np.arange(1, SLICES + 1) * 2 * DAY / SLICES:
        start = end - 2 * DAY / SLICES
        first, last = np.searchsorted(times, (start, end)).tolist()
        records = [
            b'{"request_id":"chatcmpl-%d","timestamp":%.6f,"model":"m%d"}' % (i, t, i % 3)
            for i, t in enumerate(times[first:last].tolist(), first)
        ]
        one, other = np.searchsorted(late[order], (start, end)).tolist()
        events = [
            b'{"request_id":"chatcmpl-%d","feedback":%d,"timestamp":%.6f}' % (i, i, t)
            for i, t in zip(
                chosen[order[one:other]].tolist(), late[order[one:other]].tolist(), strict=True
            )
        ]
        yield records, events, chosen


def memory(daemon: Daemon, field: str = "VmHWM") -> int:
    """Return the largest resident memory of a process so far, in bytes."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


@long_only
@pytest.mark.timeout(7_200)
def test_ten_million_ids(
    real_broker: KafkaBroker, topic: Callable[..., str], tmp_path: Path
) -> None:
    """Of ten million ids a tenth gets feedback up to a day late: every match is exact through
    kill -9 and rebalances, in at most 64 bytes an id and less than 1 GB a process.
    """
    log, feedback = topic(partitions=6), topic(partitions=6)
    peaks: list[int] = []
    size = ids = 0.0
    with ExitStack() as stack:
        alive = [start(real_broker, tmp_path, log, feedback, stack, 0.5) for _ in range(3)]
        for daemon in alive:
            daemon.wait_ready()
        chosen = np.zeros(0, np.int64)
        for part, (records, events, chosen) in enumerate(timeline(IDS)):  # noqa: B007 - used below
            produce(real_broker.bootstrap, log, records)
            produce(real_broker.bootstrap, feedback, events)
            if part in {5, 15}:
                peaks.append(memory(alive[0]))
                alive.pop(0).kill()
                alive.append(start(real_broker, tmp_path, log, feedback, stack, 0.5))
            if part == SLICES // 2 - 1:  # all ids of the first day are kept now
                until(lambda: _ids(alive) >= 0.999 * IDS, "all ids", 3_000)
                ids = _ids(alive)
                size = sum(daemon.metric("join_state_bytes") for daemon in alive)
        until(lambda: _sent(real_broker, log) >= len(chosen), "all values", 3_000)
        peaks += [memory(daemon) for daemon in alive]
        assert [daemon.stop() for daemon in alive] == [0, 0, 0]
    models, numbers = _numbers(real_broker, log)
    order = np.argsort(numbers)
    print(f"{ids:.0f} ids, {size / ids:.1f} bytes an id, peaks {[p >> 20 for p in peaks]} MiB")
    assert numbers[order].tolist() == chosen.tolist()
    assert (models[order] == chosen % 3).all()
    assert size / ids <= 64
    assert max(peaks) < 1e9


def _ids(daemons: list[Daemon]) -> float:
    return sum(daemon.metric("join_ids") for daemon in daemons)


def _sent(broker: KafkaBroker, prefix: str) -> int:
    """Return the number of values in chunks of feedback, some seconds after the last query."""
    time.sleep(5)
    return sum(len(chunk) for chunk in rated(broker, prefix))


def _numbers(broker: KafkaBroker, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the model and the value of all feedback in chunks."""
    found = rated(broker, prefix)
    models = [np.full(len(chunk), int(chunk.model[1:])) for chunk in found]
    values = [chunk.row("feedback") for chunk in found]
    return np.concatenate([*models, [0][:0]]), np.concatenate([*values, [0.0][:0]])
