"""Experiment events: their JSON, their ids, their sentences, and that other readers skip them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.events.codec import UnknownEventType, decode_event
from monitor.events.findings.experiments import (
    ExperimentEvent,
    decode_experiment,
    encode_experiment,
    experiment_event_id,
    experiment_fields,
)
from monitor.events.history import EventHistory
from monitor.events.wording.experiments import experiment_sentence, interval, p_text, percent
from monitor.roles.event_log import add_message
from tests.monitor.notify.experiment_events import HOSTILE, breach, mismatch, verdict

PURE = settings(max_examples=50, deadline=None, derandomize=True, database=None)


@PURE
@given(event=HOSTILE)
def test_an_event_survives_its_json(event: ExperimentEvent) -> None:
    """Encoding and decoding give an equal event, whatever its names are."""
    assert decode_experiment(encode_experiment(event)) == event


@PURE
@given(content=st.binary(max_size=60) | st.just(b"[" * 100_000) | st.just(b'{"type":"experiment"}'))
def test_any_other_bytes_are_a_value_error(content: bytes) -> None:
    """Damaged events raise no other exception."""
    with pytest.raises(ValueError, match=r"\w"):
        decode_experiment(content)


def test_readers_of_drift_events_skip_and_count_it() -> None:
    """The type is reported to readers that know it; the history counts it."""
    content = encode_experiment(verdict())
    with pytest.raises(UnknownEventType) as caught:
        decode_event(content)
    assert caught.value.type == "experiment"
    history = EventHistory()
    assert add_message(history, content) is None
    assert history.other_types == 1
    assert history.unreadable == 0


def test_the_id_follows_from_what_was_found_where() -> None:
    """Equal findings have equal ids, and each part is a part of the identity."""
    where = {
        "experiment": "prompt",
        "phase": "p1",
        "kind": "verdict",
        "outcome": "better",
        "variant": "treatment",
        "metric": "score.quality",
    }
    one = experiment_event_id(**where, time=7.0)
    assert one == experiment_event_id(**where, time=7.0)
    for name in where:
        assert experiment_event_id(**where | {name: "x"}, time=7.0) != one
    assert experiment_event_id(**where, time=8.0) != one


def test_the_sentences() -> None:
    """Each kind of event is one sentence with its numbers."""
    assert experiment_sentence(verdict()) == (
        "Experiment prompt-v2: treatment is better than control: score.quality +4.0 %"
        " (+1.2 % to +6.8 %), p 0.0031; 12,400 and 12,380 users. This verdict stays"
    )
    equal = verdict(outcome="no_difference", effect=0.001, lower=-0.02, upper=0.022)
    assert experiment_sentence(equal) == (
        "Experiment prompt-v2: treatment and control do not differ by more than 5 %:"
        " score.quality +0.10 % (-2.0 % to +2.2 %); 12,400 and 12,380 users. This verdict stays"
    )
    assert experiment_sentence(mismatch()) == (
        "Experiment prompt-v2: the split of users differs from the plan (sample ratio mismatch,"
        " p < 0.0001): control 5,300 users, planned 5,000; treatment 4,700 users, planned 5,000;"
        " verdicts are blocked, and the results cannot be trusted"
    )
    assert experiment_sentence(breach()) == (
        "Experiment prompt-v2: treatment is worse than control in the guardrail latency_ms:"
        " +12.0 % (+8.0 % to +16.0 %), accepted 5 %; 12,400 and 12,380 users"
    )


def test_numbers_that_do_not_exist_are_named() -> None:
    """Unbounded intervals and missing numbers are words, not zeros."""
    assert interval(None, 0.1) == "no bound to +10.0 %"
    assert percent(None) == percent(float("nan")) == "unknown"
    assert percent(1.5) == "+150 %"
    assert p_text(None) == "p unknown"
    assert "unknown" in experiment_sentence(verdict(effect=None, lower=None, upper=None))


@PURE
@given(event=HOSTILE)
def test_hostile_names_stay_on_one_printable_line(event: ExperimentEvent) -> None:
    """Whatever a log puts into the names, the sentence is printable and bounded."""
    text = experiment_sentence(event)
    assert text.isprintable()
    assert len(text) < 3_000


def test_the_fields_of_a_log_line_are_plain() -> None:
    """They are JSON values with the type of the event."""
    fields = experiment_fields(verdict())
    assert fields["type"] == "experiment"
    assert msgspec.json.decode(msgspec.json.encode(fields)) == fields
