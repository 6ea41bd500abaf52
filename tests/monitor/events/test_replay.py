"""Replay events: their JSON, their ids, their sentences, and that other readers skip them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.sections.replay.actions import ReplayOutcome
from monitor.events.codec import UnknownEventType, decode_event
from monitor.events.replay import (
    REPLAY_VERDICTS,
    ReplayedTask,
    ReplayEvent,
    decode_replay,
    encode_replay,
    replay_event_id,
)
from monitor.events.wording.replay import replay_sentence
from replay.results import VERDICTS
from tests.monitor.notify.replay_events import HOSTILE_REPLAYS, replayed

PURE = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def test_the_verdicts_are_those_of_runs() -> None:
    """Events, runs and actions have the same words; a cancelled run has no action."""
    assert REPLAY_VERDICTS == VERDICTS
    assert {*ReplayOutcome.__args__, "cancelled"} == set(VERDICTS)  # type: ignore[attr-defined] # of a Literal


@PURE
@given(event=HOSTILE_REPLAYS)
def test_an_event_survives_its_json(event: ReplayEvent) -> None:
    """Encoding and decoding give an equal event, and its sentence is one printable line."""
    assert decode_replay(encode_replay(event)) == event
    assert replay_sentence(event).isprintable()


@PURE
@given(
    content=st.binary(max_size=60)
    | st.sampled_from([b"[" * 100_000, b'{"type":"replay"}', b'{"type":"replay","id":' + b"[" * 9])
)
def test_any_other_bytes_are_a_value_error(content: bytes) -> None:
    """Damaged events raise no other exception."""
    with pytest.raises(ValueError, match=r"\w"):
        decode_replay(content)


def test_readers_of_drift_events_skip_it() -> None:
    """The type is in the JSON, and reported to readers that know it."""
    with pytest.raises(UnknownEventType) as caught:
        decode_event(encode_replay(replayed()))
    assert caught.value.type == "replay"


def test_the_id_depends_on_the_run_and_the_verdict_alone() -> None:
    """The same end of the same run has the same id after a restart."""
    assert replay_event_id("r", "regressed") == replay_event_id("r", "regressed")
    ids = {replay_event_id(run, verdict) for run in "ab" for verdict in VERDICTS}
    assert len(ids) == 2 * len(VERDICTS)


ABSOLUTE = ReplayedTask(task="drifted", metric="token_f1", items=40, candidate=0.61234)
SENTENCES: list[tuple[dict[str, Any], str]] = [
    (
        {},
        "llama, replay: regressed, exact match -6.2 points (-9.1 to -3.4), 312 items; started by"
        " drift of judge.answer_quality, alarm 00000000000000aa",
    ),
    (
        {"verdict": "not_regressed", "delta": 0.001, "lower": -0.02, "upper": 0.022, "alarm": ""},
        "llama, replay: not regressed (within the margin of 5 points), exact match +0.1 points (-2"
        " to +2.2), 312 items",
    ),
    (
        {"verdict": "not_regressed", "flags": ("small_drop",), "alarm": "", "trigger": "manual"},
        "llama, replay: not regressed (within the margin of 5 points, a small drop is proven),"
        " exact match -6.2 points (-9.1 to -3.4), 312 items; started by hand",
    ),
    (
        {"verdict": "inconclusive", "required": 1159, "lower": None, "alarm": ""},
        "llama, replay: inconclusive (847 more items needed), exact match -6.2 points (unknown to"
        " -3.4), 312 items",
    ),
    (
        {"verdict": "error", "reason": "no_baseline", "absolute": (ABSOLUTE,), "alarm": ""},
        "llama, replay: no verdict (no_baseline); token f1 of 40 drifted items 0.612",
    ),
    (
        {"verdict": "cancelled", "feature": ""},
        "llama, replay: cancelled, because the drift has resolved; started by drift, alarm"
        " 00000000000000aa",
    ),
]


@pytest.mark.parametrize(("fields", "sentence"), SENTENCES)
def test_a_sentence_has_verdict_numbers_and_cause(fields: dict[str, Any], sentence: str) -> None:
    """The sentence of each verdict."""
    assert replay_sentence(replayed(**fields)) == sentence


def test_with_several_tasks_the_one_that_decided_is_named() -> None:
    """One of two tasks decided."""
    one = replayed()
    two = replayed(tasks=(*one.tasks, ReplayedTask(task="mmlu", metric="acc", items=100)))
    assert "exact match of frozen -6.2 points" in replay_sentence(two)
