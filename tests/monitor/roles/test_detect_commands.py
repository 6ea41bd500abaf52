"""Commands in detect: applied once at their offset, whatever happens to the process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from monitor.config.sections.process.section import StateConfig
from monitor.detect.checkpoint.partition_state import MAX_FAILURES, Partition
from monitor.detect.monitor import DriftMonitor
from monitor.events.commands import AcceptReference, Answer, decode_command, encode_command
from tests.monitor import synthetic
from tests.monitor.fake_kafka import FakeKafka, Killed
from tests.monitor.synthetic import WARMUP

CHANGE = WARMUP + 400
RECORDS = synthetic.joined(
    synthetic.stream(CHANGE, seed=1),
    synthetic.stream(WARMUP + 1_200, seed=2, factor=3.0, stops=0.4),
    synthetic.stream(600, seed=3),
)
CHUNKS = list(synthetic.cut(RECORDS, range(0, len(RECORDS), 100)))
FIRST, LAST = CHANGE // 100, (CHANGE + WARMUP) // 100
"""The range of the new reference, in chunks of 100 records."""
CONFIG = synthetic.config().model_copy(update={"state": StateConfig(checkpoint_seconds=3_600)})
"""Only commands and the end of a process make a checkpoint."""


def command(at: int = LAST, **fields: Any) -> bytes:
    """Return a command for the traffic after the change."""
    number = fields.pop("number", 1)
    chosen: dict[str, Any] = {
        "first": FIRST,
        "last": LAST,
        "records": WARMUP,
        "model": "m",
    } | fields
    return encode_command(AcceptReference(id=f"{number:016x}", at=at, **chosen))


def run(monkeypatch: pytest.MonkeyPatch, kafka: FakeKafka) -> None:
    """Run a process until it has nothing to read, or is killed."""
    kafka.ended = False
    try:
        kafka.run(monkeypatch, CONFIG)
    except Killed:
        kafka.lives = None


def found(kafka: FakeKafka) -> list[tuple[str, str]]:
    """Return id and transition of each event; those found again after a crash once."""
    return list(dict.fromkeys((event.id, event.change) for event in kafka.events))


def answers(kafka: FakeKafka) -> list[Answer]:
    """Return the answers in the command topic."""
    contents = [decode_command(content) for content in kafka.commands]
    return [content for content in contents if isinstance(content, Answer)]


@pytest.fixture(scope="module")
def undisturbed() -> FakeKafka:
    """A run with one command that is not disturbed."""
    kafka = FakeKafka(CHUNKS, commands=[command()])
    with pytest.MonkeyPatch.context() as monkeypatch:
        run(monkeypatch, kafka)
    return kafka


def test_the_change_is_accepted_at_the_offset(undisturbed: FakeKafka) -> None:
    """Alarms of the change end at the offset of the command; the end of the change is an alarm."""
    [answer] = answers(undisturbed)
    assert (answer.outcome, answer.at, answer.records) == ("applied", LAST, WARMUP)
    ended = [event for event in undisturbed.events if event.reason]
    assert len(ended) == answer.alarms >= 2
    assert {event.record for event in ended} == {LAST * 100}
    later = [event for event in undisturbed.events if event.record > LAST * 100]
    assert later
    assert all(event.record > CHANGE + WARMUP + 1_200 for event in later)
    assert all(event.reference_id == answer.reference for event in later)
    assert undisturbed.metrics.commands == {"applied": 1}


@pytest.mark.parametrize("lives", range(0, 60, 3))
def test_a_killed_process_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, undisturbed: FakeKafka, lives: int
) -> None:
    """Killed at any message or commit, the successor finds the same events and answers once."""
    kafka = FakeKafka(CHUNKS, commands=[command()], lives=lives)
    run(monkeypatch, kafka)
    run(monkeypatch, kafka)
    assert found(kafka) == found(undisturbed)
    assert answers(kafka) == answers(undisturbed)


@pytest.mark.parametrize("late", [LAST, LAST + 3, LAST + 11])
def test_a_command_that_arrives_late_is_repeated_where_it_was_applied(
    monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    """A replay without the state applies the command at the offset in the answer."""
    kafka = FakeKafka(CHUNKS[:late])

    def idle(_: float) -> bool:
        if not kafka.commands:
            kafka.commands.append(command())
            return False
        return True

    kafka.idle = idle
    run(monkeypatch, kafka)
    [answer] = answers(kafka)
    assert answer.at == late
    rest = FakeKafka(CHUNKS, state=kafka.state, commands=kafka.commands, events=kafka.events)
    run(monkeypatch, rest)
    replay = FakeKafka(CHUNKS, commands=list(rest.commands))
    run(monkeypatch, replay)
    assert found(replay) == found(rest)
    assert answers(replay) == [answer]


@pytest.mark.parametrize("lives", range(0, 24, 2))
def test_alarms_end_once_if_the_process_is_killed_after_a_late_command(
    monkeypatch: pytest.MonkeyPatch, lives: int
) -> None:
    """The successor repeats the command at the same offset, so that no alarm ends twice."""
    kafka = FakeKafka(CHUNKS[: LAST + 7], at_once=1_000)

    def idle(_: float) -> bool:
        if not kafka.commands:
            kafka.commands.append(command())
            kafka.lives = lives
            return False
        return True

    kafka.idle = idle
    run(monkeypatch, kafka)
    rest = FakeKafka(CHUNKS, state=kafka.state, commands=kafka.commands, events=kafka.events)
    run(monkeypatch, rest)
    ended = {(event.id, event.alarm) for event in rest.events if event.reason}
    assert len(ended) >= 2
    assert len({alarm for _, alarm in ended}) == len(ended)
    assert [answer.outcome for answer in answers(rest)] == ["applied"]


@pytest.mark.parametrize("rebalances", [{LAST - 1}, {LAST}, {LAST + 1}, {5, LAST, LAST + 2}])
def test_rebalances_change_nothing(
    monkeypatch: pytest.MonkeyPatch, undisturbed: FakeKafka, rebalances: set[int]
) -> None:
    """Revoked and assigned again around the command, a partition has the same events."""
    kafka = FakeKafka(CHUNKS, commands=[command()], rebalances=set(rebalances))
    run(monkeypatch, kafka)
    assert found(kafka) == found(undisturbed)
    assert answers(kafka) == answers(undisturbed)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (command(model="unknown"), "there are 0 records in the range"),
        (command(last=FIRST + 5), "there are 500 records in the range"),
        (command(records=300), "records in the range"),
        (command(at=10**15), "beyond the end of the feature topic"),
        (command(segment="metadata.route=a"), "there are 0 records in the range"),
    ],
)
def test_a_command_that_cannot_be_applied_is_refused(
    monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str
) -> None:
    """The answer has the reason, and the events are those without the command."""
    kafka, without = FakeKafka(CHUNKS, commands=[content]), FakeKafka(CHUNKS)
    for each in (kafka, without):
        run(monkeypatch, each)
    [answer] = answers(kafka)
    assert answer.outcome == "refused"
    assert reason in answer.reason
    assert found(kafka) == found(without)
    assert kafka.metrics.commands == {"refused": 1}
    replay = FakeKafka(CHUNKS, commands=list(kafka.commands))
    run(monkeypatch, replay)
    assert answers(replay) == [answer]


def test_a_range_that_has_expired_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A range of which the feature topic keeps nothing is refused with this reason."""
    kafka = FakeKafka(CHUNKS, commands=[command(first=0, last=1)], first=2)
    run(monkeypatch, kafka)
    [answer] = answers(kafka)
    assert "no longer has the records" in answer.reason


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"type": "accept_reference"}',
        b'{"type": "shutdown", "model": "m"}',
        json.dumps({"type": "answer", "command": "\x1b]0;x\x07", "model": "m"}).encode(),
    ],
)
def test_a_hostile_command_is_skipped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: FakeKafka,
    capsys: pytest.CaptureFixture[str],
    hostile: bytes,
) -> None:
    """It changes nothing, and the log has its offset, not its content."""
    kafka = FakeKafka(CHUNKS, commands=[hostile, command(), hostile])
    run(monkeypatch, kafka)
    assert found(kafka) == found(undisturbed)
    assert kafka.metrics.commands == {"rejected": 2, "applied": 1}
    output = capsys.readouterr().out
    assert "command skipped" in output
    assert "\x1b]0;" not in output
    assert "shutdown" not in output


def test_several_commands_are_applied_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has an answer; a repeated message of the same command has no second one."""
    contents = [command(), command(), command(LAST + 5, number=2), command(number=3)]
    patience = iter([False] * 5)
    kafka = FakeKafka(CHUNKS, commands=contents, idle=lambda _: next(patience, True))
    run(monkeypatch, kafka)
    assert [answer.at for answer in answers(kafka)] == [LAST, LAST + 5, LAST + 5]
    assert len({answer.reference for answer in answers(kafka)}) == 1


def test_a_reference_that_was_accepted_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart after the command continues with the reference, and applies nothing again."""
    kafka = FakeKafka(CHUNKS[: LAST + 2], commands=[command()])
    run(monkeypatch, kafka)
    again = FakeKafka(CHUNKS, state=kafka.state, commands=kafka.commands)
    run(monkeypatch, again)
    assert again.metrics.commands == {}
    assert len(answers(again)) == 1
    assert {event.reference_id for event in again.events} == {answers(again)[0].reference}


def test_checkpoints_go_on_without_the_right_to_answer() -> None:
    """After some failures, and not before, a checkpoint is tried without the answers."""
    partition = Partition(DriftMonitor(synthetic.config(), {}), 0)
    answer = Answer(command="0" * 16, model="m", outcome="refused", at=0)
    partition.end_command(answer, 1)
    kept: list[Sequence[Answer]] = []
    for _ in range(MAX_FAILURES):
        kept.append(list(partition.answers))
        partition.mark_rolled_back()
    assert kept == [[answer]] * MAX_FAILURES
    assert partition.answers == []
    assert partition.changed
    partition.mark_written()
    assert partition.commands_offset == 1
    assert not partition.changed
