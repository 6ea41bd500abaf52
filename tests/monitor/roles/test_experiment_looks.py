"""Decisions of an experiment after a restart: the newest ones, whatever the event times."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.config.schema import Config
from monitor.experiments.decisions.evaluation import evaluate
from monitor.experiments.decisions.state import State, encode_state
from monitor.experiments.sums.look import LookData
from monitor.roles import experiment_messages
from monitor.roles.experiment_log import Results
from monitor.roles.experiment_looks import OwnedExperiments
from monitor.roles.experiment_messages import Name, assemble
from monitor.roles.local_experiments import configured

EXPERIMENT = {"variants": {"control": 1, "treatment": 1}, "goal": "latency_ms"}
CONFIG = Config.model_validate({"experiments": {"exp": EXPERIMENT, "other": EXPERIMENT}})
DESIGNS = configured(CONFIG)


@dataclass
class Topic:
    """The state topic, without compaction. messages: by partition and key, in their order."""

    messages: list[tuple[int, bytes, bytes]]

    def write(self, owned: OwnedExperiments, state: State) -> None:
        """Write decisions as an owner does that has looked."""
        each = owned.by_name["exp"]
        each.state, each.written, each.looked = state, False, True
        each.result = evaluate(DESIGNS["exp"][0], data(state.time), None).result
        for _, value, key, partition in owned.messages():
            self.messages.append((partition or 0, key, value))
        owned.mark_written()

    def owner(self, partition: int) -> OwnedExperiments:
        """Return a new process that owns the experiment in a partition, and has read the topic."""
        owned = OwnedExperiments(CONFIG.kafka, DESIGNS)
        newest = {key: value for number, key, value in self.messages if number == partition}
        owned.assign("exp", partition, assemble(newest))
        for _, _, value in self.messages:
            owned._add(value)  # as the follower does
        return owned


def data(time: float) -> LookData:
    """Return a look without exposures."""
    return LookData(time=time, first_time=None, users=(0, 0), requests=(0, 0))


def state(phase: str, time: float) -> State:
    """Return the state of a look."""
    return replace(evaluate(DESIGNS["exp"][0], data(time), None).state, phase=phase)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["p1", "p2", DESIGNS["exp"][0].phase]),
        st.integers(60, 10_000).map(float),
        st.sampled_from(["goes on", "restarts", "moves"]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_the_newest_decisions_survive_restarts_and_moves(
    steps: list[tuple[str, float, str]],
) -> None:
    """Phases may begin with earlier event times, and partitions may change their number."""
    topic, partition = Topic([]), 0
    owned = topic.owner(partition)
    for phase, time, then in steps:
        written = state(phase, time)
        topic.write(owned, written)
        if then == "goes on":
            continue
        partition += then == "moves"
        owned = topic.owner(partition)
        assert owned.by_name["exp"].state == written
        for messages in (topic.messages, sorted(topic.messages, key=lambda each: -each[0])):
            results = Results()
            for _, _, value in messages:
                results.add(value)
            assert results.by_name["exp"].time == time


def test_unusable_decisions_do_not_bring_back_older_ones() -> None:
    """The experiment begins anew, as the log says."""
    topic = Topic([])
    topic.write(topic.owner(0), state("p1", 60.0))
    place = Name("decisions", "exp", 0, 0)
    [(key, value)] = experiment_messages.encode(place, b"damaged", 7)
    topic.messages.append((0, key, value))
    assert topic.owner(0).by_name["exp"].state is None


@pytest.mark.parametrize("phase", ["p1", DESIGNS["exp"][0].phase])
def test_a_process_that_has_looked_keeps_its_state(phase: str) -> None:
    """Decisions that arrive later are those of a former owner."""
    topic = Topic([])
    owned = topic.owner(0)
    mine = state(phase, 60.0)
    topic.write(owned, mine)
    place = Name("decisions", "exp", 0, 1)
    [(_, value)] = experiment_messages.encode(place, encode_state(state("p9", 9e9)), 99)
    owned._add(value)
    assert owned.by_name["exp"].state == mine
