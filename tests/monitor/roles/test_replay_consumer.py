"""The consumer of replay: which messages insert and cancel runs, exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.events.codec import encode_event
from monitor.events.commands import Answer, encode_command
from monitor.events.replay import encode_replay
from monitor.events.types import DriftEvent
from monitor.roles import replay
from monitor.roles.replay import Replay
from monitor.roles.replay_baselines import freeze, unfrozen_items
from monitor.roles.replay_consumer import Trigger, decode
from monitor.roles.replay_trigger import starts_replay
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health
from replay.results import RunError
from replay.store import StoreUnavailable, baselines, queue, sets
from replay.store.queries import waiting
from replay.store.queries.runs import Filter, list_runs
from tests.monitor.notify.drift_events import event
from tests.monitor.notify.replay_events import replayed
from tests.monitor.roles.replay_runs import MODEL, Bench, bench, config, items

HOUR = 3_600.0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench with the baseline of a model."""
    with bench(tmp_path, monkeypatch) as made:
        made.freeze()
        yield made


def answer(command: str = "00000000000000c0", model: str = MODEL, **other: Any) -> Answer:
    """Return the answer to a command that accepted a reference."""
    fields: dict[str, Any] = {"outcome": "applied", "at": 5, "records": 2_000} | other
    return Answer(command=command, model=model, **fields)


class Consumer:
    """Applies messages as the role does."""

    def __init__(self, place: Bench) -> None:
        self.place = place
        self.trigger = Trigger(place.place)

    def apply(self, message: DriftEvent | Answer, count: int = 60) -> str:
        """Apply one message; return its outcome. count: items of a reference."""
        found = {message.command: items(count)} if isinstance(message, Answer) else {}
        with self.place.store.write() as connection:
            return self.trigger.apply(connection, message, found, self.place.now[0])

    def runs(self, trigger: str = "drift") -> list[queue.Run]:
        """Return the runs in the store, oldest first."""
        with self.place.store.read() as connection:
            found = list_runs(connection, Filter())
        return [run for run in reversed(found) if run.trigger == trigger]


# --- which drift ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "found", "starts"),
    [
        ({}, {}, True),
        ({}, {"severity": "warning"}, False),
        ({"severity": "warning"}, {"severity": "warning"}, True),
        ({}, {"change": "escalated", "escalated_from": "warning"}, True),
        ({}, {"change": "updated"}, False),
        ({}, {"change": "resolved"}, False),
        ({"models": ["other"]}, {}, False),
        ({"models": [MODEL]}, {}, True),
        ({"features": ["judge.*"]}, {}, False),
        ({"features": ["judge.*"]}, {"feature": "judge.answer_quality"}, True),
        ({"features": ["latency_ms"]}, {"feature": "latency_ms.x"}, False),
    ],
)
def test_drift_is_chosen_by_severity_model_and_feature(
    on: dict[str, Any], found: dict[str, Any], starts: bool
) -> None:
    """Only what is configured starts a replay."""
    assert starts_replay(event(**found), config(on=on).replay) is starts


def test_a_model_that_cannot_be_reached_starts_nothing() -> None:
    """With models by name only, another one is not replayed."""
    chosen = config(model=None, models={"other": {"base_url": "http://127.0.0.1:9/v1"}})
    assert not starts_replay(event(), chosen.replay)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(value=st.none() | st.binary(max_size=80) | st.just(b"[" * 100_000), command=st.booleans())
def test_any_bytes_are_decoded_or_named(value: bytes | None, command: bool) -> None:
    """Whatever a stranger writes, nothing is raised."""
    assert decode(value, command=command) in {"unreadable", "other_type"}


def test_own_events_and_other_types_are_known() -> None:
    """They are counted, and start nothing."""
    own = replayed()
    assert decode(encode_replay(own), command=False) == own
    assert decode(b'{"type": "experiment"}', command=False) == "other_type"
    one = event()
    assert decode(encode_event(one), command=False) == one
    assert decode(encode_command(answer()), command=True) == answer()
    assert decode(encode_command(answer(outcome="refused")), command=True) == "other_type"


# --- runs -------------------------------------------------------------------------------------


def test_an_alarm_starts_one_run(place: Bench) -> None:
    """A repeated event is a duplicate; another alarm within the cooldown starts none."""
    consumer, first = Consumer(place), event()
    assert consumer.apply(first) == "queued"
    assert consumer.apply(first) == "duplicate"
    assert consumer.apply(event(feature="cost_usd")) == "cooldown"
    assert consumer.apply(event(model="other")) == "queued"
    place.now[0] += HOUR + 1
    assert consumer.apply(event(feature="refusal")) == "queued"
    digests = {(run.model, run.alarm): run.set_digest for run in consumer.runs()}
    assert len(digests) == 3
    assert digests[MODEL, first.alarm] != ""
    assert [digest for (model, _), digest in digests.items() if model == "other"] == [""]


def test_a_failed_run_does_not_hold_up_the_next_alarm(place: Bench) -> None:
    """An endpoint that was down must not leave the model without a verdict for the cooldown."""
    consumer = Consumer(place)
    assert consumer.apply(event()) == "queued"

    def fail(_: int) -> None:
        raise RunError("unauthorized", "status 401")

    place.runner.before = fail
    assert place.work()
    assert consumer.apply(event(feature="cost_usd")) == "queued"


def test_a_resolved_alarm_cancels_its_run(place: Bench) -> None:
    """The queued run ends as cancelled, with an event; another open alarm then starts one."""
    consumer, first, second = Consumer(place), event(), event(feature="cost_usd")
    assert [consumer.apply(each) for each in (first, second)] == ["queued", "cooldown"]
    assert consumer.apply(event("resolved", first.alarm)) == "cancelled"
    (cancelled,) = place.events()
    assert (cancelled["verdict"], cancelled["alarm"]) == ("cancelled", first.alarm)
    states = {run.alarm: (run.state, run.verdict) for run in consumer.runs()}
    assert states == {first.alarm: ("finished", "cancelled"), second.alarm: ("queued", "")}
    assert consumer.apply(event("resolved", second.alarm)) == "cancelled"
    assert consumer.apply(event("resolved", "unknown")) == "filtered"


@pytest.mark.parametrize("resolved", [False, True])
def test_alarms_in_a_cooldown_survive_a_restart(place: Bench, resolved: bool) -> None:
    """They are in the store: another process starts the run of one that is still open."""
    first, second = event(), event(feature="cost_usd")
    before = Consumer(place)
    assert [before.apply(each) for each in (first, second)] == ["queued", "cooldown"]
    if resolved:
        assert before.apply(event("resolved", second.alarm)) == "filtered"
    after = Consumer(place)
    assert after.apply(event("resolved", first.alarm)) == "cancelled"
    queued = [run.alarm for run in after.runs() if run.state == "queued"]
    assert queued == ([] if resolved else [second.alarm])
    with place.store.read() as connection:
        assert waiting.of_model(connection, MODEL) == []


def test_waiting_alarms_are_bounded(place: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten; a repeated event changes nothing."""
    monkeypatch.setattr(waiting, "MOST", 3)
    with place.store.write() as connection:
        for number in (1, 2, 2, 3, 4, 5):
            waiting.add(connection, f"a{number}", "m", str(number).encode(), float(number))
        assert waiting.of_model(connection, "m") == [b"3", b"4", b"5"]
        assert waiting.of_model(connection, "other") == []


def test_a_finished_run_is_not_cancelled(place: Bench) -> None:
    """The verdict stays when the drift resolves afterwards."""
    consumer, first = Consumer(place), event()
    consumer.apply(first)
    assert place.work()
    assert consumer.apply(event("resolved", first.alarm)) == "filtered"
    assert [run.verdict for run in consumer.runs()] == ["not_regressed"]


# --- baselines --------------------------------------------------------------------------------


def test_an_accepted_reference_freezes_items_and_requests_their_baseline(place: Bench) -> None:
    """The new version is the baseline once its run has ended; a repeated answer is a duplicate."""
    consumer = Consumer(place)
    assert consumer.apply(answer(), count=50) == "baseline"
    assert consumer.apply(answer(), count=50) == "duplicate"
    assert place.work()
    with place.store.read() as connection:
        found = baselines.find(connection, MODEL)
        assert found is not None
        version = sets.get(connection, found.set_digest)
    assert version is not None
    assert (version.version, version.items) == (2, 50)


def test_too_few_items_change_nothing(place: Bench) -> None:
    """The old baseline stays; a model that is not configured is not frozen."""
    consumer = Consumer(place)
    assert consumer.apply(answer(), count=39) == "too_few_items"
    object.__setattr__(place.place, "config", config(model=None))
    assert Consumer(place).apply(answer()) == "filtered"
    assert len(consumer.runs("baseline")) == 1


def test_models_without_items_are_found(place: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with enough accepted samples and without an open alarm."""
    found = {MODEL: items(), "new": items(), "few": items(39), "alarmed": items()}
    monkeypatch.setattr("monitor.roles.replay_baselines.accepted_items", lambda *_: found)

    def search() -> list[str]:
        settings = place.place.config
        return [*unfrozen_items(None, settings, place.store, place.now[0], ["alarmed"])]  # type: ignore[arg-type] # not read

    assert search() == ["new"]
    with place.store.write() as connection:
        freeze(connection, place.place.config, ("new", items()), "k", place.now[0])
    assert search() == [], "its baseline is queued"

    def fail(_: int) -> None:
        raise RunError("unauthorized", "401")

    place.runner.before = fail
    assert place.work()
    place.now[0] += HOUR + 1
    assert search() == ["new"], "its baseline has failed, an hour ago"


def test_a_schedule_starts_runs_of_models_with_a_baseline(place: Bench) -> None:
    """One run in each interval, beginning an interval after the baseline."""
    object.__setattr__(place.place, "config", config(schedule={"every_hours": 2}))
    consumer = Consumer(place)

    def due() -> Counter[str]:
        with place.store.write() as connection:
            return consumer.trigger.schedule(connection, place.now[0])

    assert due() == Counter()
    place.now[0] += 2 * HOUR + 1
    assert due() == Counter(queued=1)
    assert due() == Counter()
    assert place.work()
    assert [found["trigger"] for found in place.events()] == ["schedule"]
    place.now[0] += 2 * HOUR + 1
    assert due() == Counter(queued=1)


# --- the role ---------------------------------------------------------------------------------


class Broker:
    """The consumer of a role: one partition of the events topic, whose messages a test writes."""

    def __init__(self, messages: list[bytes]) -> None:
        self.messages = messages
        self.position = 0
        self.committed: list[int] = []

    def poll(self, _: float) -> Any:
        """Return the next message."""
        if self.position >= len(self.messages):
            return None
        self.position += 1
        value, offset = self.messages[self.position - 1], self.position - 1
        return SimpleNamespace(
            value=lambda: value,
            offset=lambda: offset,
            topic=lambda: "plumbline.events",
            partition=lambda: 0,
            error=lambda: None,
        )

    def commit(self, offsets: list[Any], **_: object) -> None:
        """Keep the committed offset."""
        self.committed += [each.offset for each in offsets]

    def assignment(self) -> list[Any]:
        """Return nothing: what is paused does not matter here."""
        return []

    def pause(self, _: object) -> None:
        """Pause nothing."""

    def resume(self, _: object) -> None:
        """Resume nothing."""


def role(place: Bench, messages: list[bytes]) -> Replay:
    """Return the role with an assigned partition, as if it had started anew."""
    made = Replay(place.place.config, Metrics(), Health(), lambda _: False)
    made.place, made.trigger = place.place, Trigger(place.place)
    broker = Broker(messages)
    made.consumer = broker  # type: ignore[assignment] # as far as it is used
    made.assigned = {("plumbline.events", 0)}
    with place.store.read() as connection:
        stored = queue.load_offsets(connection, made.group)
    broker.position = stored.get(("plumbline.events", 0), 0)
    return made


def test_runs_and_offsets_are_one_transaction(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store fails, messages wait; after a kill they are read again, no run is twice."""
    messages = [encode_event(event()), b"hostile", encode_event(event(model="m2"))]
    first = role(place, messages)
    first._read()
    save = queue.save_offsets

    def fail(*_: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(queue, "save_offsets", fail)
    first._try(first._apply)
    assert (len(first.pending), first.counts.store_errors) == (3, 1)
    with place.store.read() as connection:
        assert queue.state(connection).queued == 0
    monkeypatch.setattr(queue, "save_offsets", save)
    second = role(place, messages)  # the first one was killed
    second._read()
    second._try(second._apply)
    assert second.pending == []
    assert second.counts.events["queued"] == 2
    assert second.counts.events["unreadable"] == 1
    with place.store.read() as connection:
        assert queue.load_offsets(connection, second.group) == {("plumbline.events", 0): 3}
        assert queue.state(connection).queued == 2
    third = role(place, messages)
    third._read()
    assert third.pending == []


def test_the_queue_is_measured_and_expired_runs_end(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Age and number of queued runs are those of the store, whichever process inserted them."""
    made = role(place, [])
    sent: list[float] = []
    monkeypatch.setattr(replay, "send_events", lambda *_: sent.append(1.0))
    made.producer = None  # type: ignore[assignment] # not used
    place.enqueue()
    place.now[0] += 90
    made._keep_house()
    assert made.counts.queue is not None
    assert made.counts.queue.runs == {"queued": 1, "running": 0}
    assert made.counts.queue.oldest == 90.0
    assert sent
    made.assigned.clear()
    made._keep_house()
    assert len(sent) == 1, "only the owner of partition 0 sends"


def test_new_partitions_begin_with_what_is_new(place: Bench) -> None:
    """A revoked partition's messages are dropped: its next owner reads them again."""
    made = role(place, [encode_event(event())])
    made._read()
    assert len(made.pending) == 1
    partition = SimpleNamespace(topic="plumbline.events", partition=0)
    made._revoked(made.consumer, [partition])  # type: ignore[list-item] # as far as it is used
    assert (made.pending, made.assigned) == ([], set())
