"""Memory and CPU time of a daemon with children are sums; it started when its first process did."""

from __future__ import annotations

import os
import subprocess
import sys

from prometheus_client import ProcessCollector

from monitor.telemetry.families.process import ProcessesCollector

SPEND = """
import sys, time
while time.process_time() < 0.5: pass
print(flush=True)
sys.stdin.read()
"""


def values(collector: ProcessesCollector | ProcessCollector) -> dict[str, float]:
    """Return the value of each sample."""
    return {s.name: s.value for family in collector.collect() for s in family.samples}


def test_a_child_is_added() -> None:
    """Its memory and CPU time are added; a child that has ended counts nothing."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", SPEND], stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alone = values(ProcessCollector(registry=None))
        both = values(ProcessesCollector(lambda: [child.pid]))
        of_child = values(ProcessCollector(pid=lambda: child.pid, registry=None))
        assert both.keys() == alone.keys()
        assert both["process_cpu_seconds_total"] >= alone["process_cpu_seconds_total"] + 0.4
        memory = "process_virtual_memory_bytes"
        assert both[memory] >= alone[memory] + of_child[memory] - (64 << 20)
        assert both["process_start_time_seconds"] == alone["process_start_time_seconds"]
        child.communicate()
    ended = values(ProcessesCollector(lambda: [child.pid]))
    assert ended["process_virtual_memory_bytes"] < both[memory]


def test_without_children_it_is_the_collector_of_the_client_library() -> None:
    """Names, types and values that do not move are the same."""
    theirs, ours = (
        {family.name: (family.type, family.documentation) for family in collector.collect()}
        for collector in (
            ProcessCollector(pid=os.getpid, registry=None),
            ProcessesCollector(lambda: ()),
        )
    )
    assert ours == theirs
