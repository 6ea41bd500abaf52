"""Tests of what all roles share."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

import monitor.roles
from monitor.config.schema import Config
from monitor.roles.role import Role
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health


class Leaving(Role):
    """A role whose consumer is closed while a rebalance calls back."""

    name = "leaving"

    def __init__(self, error: KafkaError, *, stops: bool) -> None:
        super().__init__(Config(), Metrics(), Health(), lambda _: stops)
        self.error = error

    def close(self) -> None:
        """Raise what the callback raised."""
        raise KafkaException(self.error)

    def _session(self) -> None:
        self._leave(self.close)


RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "stopping", retriable=True)
FATAL = KafkaError(KafkaError._FENCED, "fenced", fatal=True)


def session(error: KafkaError, *, stops: bool) -> None:
    """Run a session that ends with this error."""
    Leaving(error, stops=stops)._session()


def test_a_restore_that_is_given_up_while_the_role_leaves_is_no_error() -> None:
    """A partition that is assigned during the end is not restored."""
    session(RETRIABLE, stops=True)


@pytest.mark.parametrize(("error", "stops"), [(RETRIABLE, False), (FATAL, True), (FATAL, False)])
def test_other_errors_while_a_role_leaves_are_raised(error: KafkaError, stops: bool) -> None:
    """Only what the stop itself causes is no error."""
    with pytest.raises(KafkaException):
        session(error, stops=stops)


def test_every_role_leaves_in_this_way() -> None:
    """No role closes the consumer of its session itself."""
    files = Path(*monitor.roles.__path__).glob("*.py")
    found = [file.name for file in files if "self.consumer.close()" in file.read_text()]
    assert found == ["notify.py"]  # a consumer for each target, which the role leaves
