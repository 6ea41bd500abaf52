"""Resources of each Plumbline process, and whether its roles run and are ready."""

from __future__ import annotations

from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import (
    AMBER,
    GREEN,
    Column,
    Description,
    graph,
    limits,
    query,
    state_timeline,
    table,
)
from grafana.dashboards.elements.promql import RATE, highest, metric, plumbline_only, scoped

SERIES = 5000
"""Maximum number of series that a process exports (`monitor.metrics.MAX_SERIES`)."""


def row() -> Row:
    """Return the row."""
    resources = [_series(), _memory(), _cpu(), _files()]
    return Row("Processes", [*resources, _heartbeats(), _ready(), _versions()])


def _series() -> Timeseries:
    series = plumbline_only(scoped("scrape_samples_post_metric_relabeling"))
    return graph(
        "Series exported",
        Description(
            "Samples per scrape of each process, and the limit.",
            "Below the limit.",
            "At the limit the process drops series, detector statistics and thresholds first: see"
            " Series dropped.",
        ),
        "none",
        query(highest(series, "instance"), "{{instance}}"),
        thresholds=limits(critical=SERIES),
        width=6,
    )


def _memory() -> Timeseries:
    memory = plumbline_only(scoped("process_resident_memory_bytes"))
    return graph(
        "Memory",
        Description(
            "Resident memory of each process.",
            "Constant once the references are complete: about 130 MB, plus 0.25 MB for each feature"
            " of each model.",
            "If it keeps growing, report a defect, and set a memory limit so that the process is"
            " restarted.",
        ),
        "bytes",
        query(highest(memory, "instance"), "{{instance}}"),
        width=6,
    )


def _cpu() -> Timeseries:
    cpu = plumbline_only(f"rate({scoped('process_cpu_seconds_total')}[{RATE}])")
    return graph(
        "CPU",
        Description(
            "CPU cores that each process uses.",
            "Below 0.8. A Python process uses at most about one core.",
            "Close to one, start more processes, or run the roles in separate processes.",
        ),
        "none",
        query(highest(cpu, "instance"), "{{instance}}"),
        thresholds=limits(warning=0.8),
        width=6,
    )


def _files() -> Timeseries:
    files = f"{scoped('process_open_fds')} / {scoped('process_max_fds')}"
    return graph(
        "Open file descriptors",
        Description(
            "File descriptors in use, relative to the limit of the process.",
            "A few per cent.",
            "Connections leak: check the clients that scrape the process, and the brokers.",
        ),
        "percentunit",
        query(highest(plumbline_only(files), "instance"), "{{instance}}"),
        thresholds=limits(warning=0.8),
        width=6,
    )


def _heartbeats() -> Timeseries:
    age = highest(metric("heartbeat_age_seconds"), "instance", "role")
    return graph(
        "Heartbeat age",
        Description(
            "Time since the last loop iteration of each role.",
            "Near zero.",
            "From 60 seconds `/healthz` fails, and a liveness probe restarts the process.",
            "PlumblineStalled",
        ),
        "s",
        query(age, "{{instance}} {{role}}"),
        thresholds=limits(critical=60),
        width=12,
    )


def _ready() -> StateTimeline:
    return state_timeline(
        "Roles ready",
        Description(
            "Whether each role has joined its consumer group and restored its state.",
            "Ready, apart from the first seconds.",
            "The log names what the role waits for: the broker, its topics, or a long restore.",
            "PlumblineNotReady",
        ),
        highest(metric("role_ready"), "instance", "role"),
        "{{instance}} {{role}}",
        {0: ("waiting", AMBER), 1: ("ready", GREEN)},
    )


def _versions() -> Table:
    age = f"(time() - {metric('start_time_seconds')})"
    running = f"{age} * on (job, instance) group_right () {metric('build_info')}"
    return table(
        "Versions",
        Description(
            "Version of each process, and time since its start.",
            "One version.",
            "Two versions are normal during an upgrade; afterwards restart the old processes. A"
            " process that always started recently is restarting repeatedly.",
            "PlumblineRestarting",
        ),
        {"instance": "Process", "version": "Version"},
        [Column("Running for", "s", highest(running, "instance", "version"))],
        sort_by="Running for",
    )
