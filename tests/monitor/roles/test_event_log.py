"""The history of the events topic."""

from __future__ import annotations

from monitor.events.codec import encode_event
from monitor.events.history import EventHistory
from monitor.roles.event_log import add_message
from tests.monitor.notify.drift_events import event


def test_messages_that_are_no_drift_events_are_counted() -> None:
    """Events of unknown types and messages that are no events are counted apart."""
    history, drift = EventHistory(), event()
    for value in (b'{"type": "replay"}', b'{"type": "judge", "id": 7}', b"{}", b"\xff", b""):
        assert add_message(history, value) is None
    assert add_message(history, encode_event(drift)) == drift
    assert (history.other_types, history.unreadable) == (2, 3)
