"""Every sample is counted once, in the order of the offsets, and no finished result is paid twice.

A simulated topic keeps samples, committed evaluations, state and offset. The state machine reads,
finishes, commits, loses commits and crashes in any order.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from judges.live.partition import BLOCK_IDS, BLOCKS, RECENT, Pending, RecentIds, SamplePartition
from monitor.events.evaluations import Evaluation
from monitor.records import Inclusion, Sample

VERSIONS = {"judge.a": "1", "judge.b": "2"}


def sample(request_id: str) -> Sample:
    """Return a uniform sample."""
    return Sample(request_id, 1.0, "m", Inclusion(True, 0.5))


def evaluation(request_id: str, name: str) -> Evaluation:
    """Return an evaluation."""
    return Evaluation(name=name, request_id=request_id, model="m", time=1.0, score=3.0)


class Judging(RuleBasedStateMachine):
    """A partition with crashes, against a log of what was committed and what was paid."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str | None] = []
        self.committed: list[tuple[int, list[Evaluation]]] = []
        self.state: dict[bytes, bytes] = {}
        self.offset = 0
        self.paid: Counter[tuple[str, str]] = Counter()
        self.lost: Counter[tuple[str, str]] = Counter()
        self.start()

    def start(self) -> None:
        """Begin as a new process."""
        self.partition = SamplePartition(VERSIONS, self.offset, self.state)
        self.running: list[Pending] = []
        self.unjournalled: list[tuple[str, str]] = []

    @rule(name=st.sampled_from("abcdef") | st.none())
    def produce(self, name: str | None) -> None:
        """Add a sample, a repeated one or a message that is none."""
        self.log.append(name)

    @rule()
    def read(self) -> None:
        """Read the next message."""
        offset = self.partition.offset
        if offset < len(self.log):
            name = self.log[offset]
            each = sample(name) if name is not None else None
            pending = self.partition.add(offset, each, VERSIONS)
            if pending.missing:
                self.running.append(pending)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Finish one evaluation of any running sample."""
        running = [each for each in self.running if each.missing]
        if not running:
            return
        pending = data.draw(st.sampled_from(running))
        name = data.draw(st.sampled_from(sorted(pending.missing)))
        assert pending.sample is not None
        key = pending.sample.request_id, name
        self.paid[key] += 1
        self.unjournalled.append(key)
        self.partition.finish(pending, evaluation(*key))

    @rule(succeeds=st.booleans())
    def commit(self, succeeds: bool) -> None:
        """Commit a transaction, or fail to."""
        content = self.partition.commit()
        if content is None or not succeeds:
            return
        for each in content.finished:
            self.committed.append((each.offset, each.evaluations))
        for key, value in content.messages.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        self.offset = content.offset
        self.unjournalled.clear()
        self.partition.mark_committed(content)

    @rule()
    def crash(self) -> None:
        """Lose everything since the last commit."""
        self.lost.update(self.unjournalled)
        self.start()

    @invariant()
    def offsets_are_contiguous(self) -> None:
        """Each message is committed once and in order."""
        assert [offset for offset, _ in self.committed] == list(range(self.offset))

    @invariant()
    def each_sample_counts_once(self) -> None:
        """The first message of an id has all evaluations, later ones have none."""
        seen = set()
        for offset, evaluations in self.committed:
            name = self.log[offset]
            names = sorted(each.name for each in evaluations)
            assert names == (sorted(VERSIONS) if name is not None and name not in seen else [])
            seen.add(name)

    @invariant()
    def a_committed_result_is_not_paid_again(self) -> None:
        """Only results that a crash has lost before their commit are paid again."""
        for key, times in self.paid.items():
            assert times <= 1 + self.lost[key]

    @invariant()
    def the_journal_is_bounded(self) -> None:
        """The state has the results of pending samples only."""
        open_results = sum(key.startswith(b"result/") for key in self.state)
        assert open_results <= len(VERSIONS) * (len(self.log) - self.offset)


TestJudging = Judging.TestCase
TestJudging.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_changed_rubric_is_evaluated_again() -> None:
    """A journalled result of another version is not used, and deleted."""
    before = SamplePartition(VERSIONS, 0)
    first = before.add(0, sample("x"), VERSIONS)
    before.finish(first, evaluation("x", "judge.a"))
    content = before.commit()
    assert content is not None
    state = {key: value for key, value in content.messages.items() if value is not None}
    after = SamplePartition(VERSIONS | {"judge.a": "3"}, 0, state)
    again = after.add(0, sample("x"), VERSIONS)
    assert again.missing == set(VERSIONS)
    for name in VERSIONS:
        after.finish(again, evaluation("x", name))
    done = after.commit()
    assert done is not None
    assert {key for key in state if key.startswith(b"result/")} <= {
        key for key, value in done.messages.items() if value is None
    }


def test_recent_ids_are_bounded_and_survive() -> None:
    """The newest ids are recognised after a restore, the oldest are dropped."""
    ids = RecentIds()
    state: dict[bytes, bytes] = {}
    total = BLOCK_IDS * (BLOCKS + 2)
    for number in range(total):
        ids.add(str(number))
        if number % 300 == 0:
            state |= ids.messages()
            ids.mark_written()
    state |= ids.messages()
    restored = RecentIds()
    restored.restore(state)
    assert len(state) == BLOCKS
    for number in range(total - BLOCK_IDS * (BLOCKS - 1), total):
        assert str(number) in restored
    assert "0" not in ids
    assert "0" not in restored
    restored.add("new")
    assert "new" in restored


@pytest.mark.parametrize("value", [b"", b"\xff", b"\x92\x01\xc4\x00"])
def test_damaged_state_is_ignored(value: bytes) -> None:
    """A message that cannot be read is no result; it is deleted with the next commit."""
    partition = SamplePartition(VERSIONS, 5, {b"result/00": value, RECENT + b"0": value})
    partition.add(5, None, VERSIONS)
    content = partition.commit()
    assert content is not None
    assert content.offset == 6
    assert content.messages.get(b"result/00", b"") is None
