"""Restart a monitor from a complete checkpoint."""

from __future__ import annotations

from monitor.config.schema import Config
from monitor.detect.checkpoint import partition_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import DriftMonitor


def restarted(monitor: DriftMonitor, config: Config) -> DriftMonitor:
    """Return the monitor as a new process restores it from the messages of a checkpoint."""
    complete = Partition(monitor, 0).messages()
    messages = {key: value for key, value in complete if value is not None}
    partition = partition_state.restore(messages, config, {})
    assert partition is not None
    assert not partition.restarted
    return partition.monitor
