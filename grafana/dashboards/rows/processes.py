"""What each process of Plumbline costs, and whether its roles turn and are ready."""

from __future__ import annotations

from grafana.dashboards.frame import Row
from grafana.dashboards.panels import (
    AMBER,
    GREEN,
    Column,
    Words,
    graph,
    limits,
    query,
    states,
    table,
)
from grafana.dashboards.promql import everybodys, highest, of_plumbline, own

SERIES = 5000
"""What a process exports at most (`monitor.metrics.MAX_SERIES`)."""


def row() -> Row:
    """The row."""
    series = of_plumbline(everybodys("scrape_samples_post_metric_relabeling"))
    memory = of_plumbline(everybodys("process_resident_memory_bytes"))
    cpu = of_plumbline(f"rate({everybodys('process_cpu_seconds_total')}[$__rate_interval])")
    files = f"{everybodys('process_open_fds')} / {everybodys('process_max_fds')}"
    age, builds = f"(time() - {own('start_time_seconds')})", own("build_info")
    return Row(
        "Processes",
        [
            graph(
                "Series exported",
                Words(
                    "Samples of a scrape, by process, and the bound.",
                    "Below the bound.",
                    "at the bound the last ones are cut, statistics and thresholds first: see"
                    " Series cut off.",
                ),
                "none",
                query(highest(series, "instance"), "{{instance}}"),
                thresholds=limits(critical=SERIES),
                width=6,
            ),
            graph(
                "Memory",
                Words(
                    "Resident memory of each process.",
                    "Flat, after the references are built: about 130 MB, and 0.2 MB for each"
                    " feature of each model.",
                    "if it keeps growing, tell us; set a limit so that it restarts.",
                ),
                "bytes",
                query(highest(memory, "instance"), "{{instance}}"),
                width=6,
            ),
            graph(
                "Processor",
                Words(
                    "Cores that each process uses.",
                    "Below 0.8; Python uses one a process.",
                    "near one, start more processes, or split the roles.",
                ),
                "none",
                query(highest(cpu, "instance"), "{{instance}}"),
                thresholds=limits(warning=0.8),
                width=6,
            ),
            graph(
                "Open files",
                Words(
                    "File descriptors in use, as a share of what the process may have.",
                    "A few per cent.",
                    "connections leak: look at who scrapes it, and at the brokers.",
                ),
                "percentunit",
                query(highest(of_plumbline(files), "instance"), "{{instance}}"),
                thresholds=limits(warning=0.8),
                width=6,
            ),
            graph(
                "Heartbeats",
                Words(
                    "Seconds since the loop of each role last turned.",
                    "Near zero.",
                    "from 60 on `/healthz` fails, and who watches over the process restarts it.",
                    "PlumblineStalled",
                ),
                "s",
                query(
                    highest(own("heartbeat_age_seconds"), "instance", "role"),
                    "{{instance}} {{role}}",
                ),
                thresholds=limits(critical=60),
                width=12,
            ),
            states(
                "Roles ready",
                Words(
                    "Whether each role has joined its group and restored its state.",
                    "Ready, but for the first seconds.",
                    "the log says what it waits for: the broker, its topics, or a long restore.",
                    "PlumblineNotReady",
                ),
                highest(own("role_ready"), "instance", "role"),
                "{{instance}} {{role}}",
                {0: ("waiting", AMBER), 1: ("ready", GREEN)},
            ),
            table(
                "Versions",
                Words(
                    "Which version each process runs, and for how long.",
                    "One version.",
                    "two during an upgrade; afterwards, restart the old ones. A process that is"
                    " always young keeps starting.",
                    "PlumblineRestarting",
                ),
                {"instance": "Process", "version": "Version"},
                [
                    Column(
                        "Running for",
                        "s",
                        highest(
                            f"{age} * on (job, instance) group_right () {builds}",
                            "instance",
                            "version",
                        ),
                    )
                ],
                sort_by="Running for",
            ),
        ],
    )
