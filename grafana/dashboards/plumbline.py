"""*Plumbline itself*: whether the monitor reads, judges and keeps what it has judged."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards import frame
from grafana.dashboards.frame import Row
from grafana.dashboards.panels import (
    AMBER,
    GREEN,
    Column,
    Words,
    graph,
    limits,
    query,
    stat,
    states,
    table,
)
from grafana.dashboards.promql import (
    everybodys,
    highest,
    increase,
    of_plumbline,
    own,
    rate,
    total,
)

UID = "plumbline-itself"
SERIES = 5000
"""What a process exports at most (`monitor.metrics.MAX_SERIES`)."""


def dashboard() -> Dashboard:
    """The dashboard."""
    return frame.dashboard(
        "Plumbline / Plumbline itself",
        UID,
        "The monitor: what it reads and refuses, how far behind it is, its checkpoints and what"
        " it costs.",
        [_now(), _reading(), _state(), _process()],
    )


def _now() -> Row:
    up, known = everybodys("up"), f"last_over_time({own('build_info')}[1h])"
    failed = "".join(
        f" + {total(increase(name, over='1h'))}"
        for name in ("checkpoints_failed_total", "checkpoints_unusable_total")
    )
    return Row(
        "Now",
        [
            stat(
                "Processes",
                Words(
                    "Processes that answer Prometheus.",
                    "As many as you have started.",
                    "read the log of the one that is missing; it ends when a role fails.",
                    "PlumblineDown",
                ),
                "none",
                f"count({own('build_info')})",
            ),
            stat(
                "Processes down",
                Words(
                    "Processes that answered within the last hour and do not now, though"
                    " Prometheus still asks them.",
                    "None.",
                    "start them again: they go on from their checkpoint and lose nothing.",
                    "PlumblineInstanceDown",
                ),
                "none",
                f"count({up} == 0 and on (job, instance) {known}) or vector(0)",
                thresholds=limits(critical=1),
            ),
            stat(
                "Event-time lag",
                Words(
                    "Age of the newest record that has been read: how late an alarm would be.",
                    "Seconds.",
                    "with lag below, processes are missing; without it, the log has no traffic.",
                ),
                "s",
                highest(own("event_time_lag_seconds")),
                thresholds=limits(60, 300),
            ),
            stat(
                "Refused in an hour",
                Words(
                    "Messages of the last hour that were no records and went to the dead letters.",
                    "None.",
                    "see Refused by reason, then read some of the topic `plumbline.dlq`.",
                    "PlumblineDeadLetters",
                ),
                "none",
                f"round({total(increase('records_rejected_total', over='1h'))})",
                thresholds=limits(warning=1),
            ),
            stat(
                "Checkpoints lost in an hour",
                Words(
                    "Checkpoints that failed, or could not be restored, in the last hour.",
                    "None.",
                    "the log says which and why; `state.unusable` says what then.",
                    "PlumblineCheckpointUnusable",
                ),
                "none",
                f"round({failed.removeprefix(' + ')})",
                thresholds=limits(warning=1, critical=3),
            ),
            stat(
                "Series cut off",
                Words(
                    "Series that found no room among the 5,000 of a process.",
                    "None.",
                    "watch fewer models or features in a process: start more of detect.",
                    "PlumblineSeriesLimitReached",
                ),
                "none",
                total(own("metric_series_dropped")),
                thresholds=limits(warning=1),
            ),
        ],
    )


def _reading() -> Row:
    return Row(
        "Reading",
        [
            graph(
                "Messages read",
                Words(
                    "Messages read and committed a second, by topic of the log.",
                    "The traffic of your models.",
                    "at zero with lag growing: the process stands, or Kafka refuses it.",
                    "PlumblineNoRecords",
                ),
                "cps",
                query(total(rate("records_consumed_total"), "topic"), "{{topic}}"),
            ),
            graph(
                "Refused by reason",
                Words(
                    "Messages a second that were no records, and why.",
                    "Zero.",
                    "a producer writes another form: see `plumbline.dlq`, whose headers name place"
                    " and reason.",
                ),
                "cps",
                query(total(rate("records_rejected_total"), "reason"), "{{reason}}"),
            ),
            graph(
                "Records watched",
                Words(
                    "Records that detect has seen a second.",
                    "What is read, less what is refused.",
                    "less than that for long: detect is behind, see Lag.",
                ),
                "cps",
                query(total(rate("records_watched_total")), "watched"),
            ),
            graph(
                "Lag by partition",
                Words(
                    "Messages of each partition that have not been read.",
                    "Near zero, short peaks.",
                    "all grow: start more processes. One grows: its worker stands, or its models"
                    " are too much for one.",
                    "PlumblineConsumerLagGrowing",
                ),
                "short",
                query(
                    highest(own("consumer_lag_records"), "topic", "partition"),
                    "{{topic}} {{partition}}",
                ),
            ),
            graph(
                "Event-time lag by process",
                Words(
                    "Age of the newest record that each process has read.",
                    "Seconds.",
                    "grows by a second each second where nothing arrives.",
                ),
                "s",
                query(highest(own("event_time_lag_seconds"), "instance"), "{{instance}}"),
                thresholds=limits(60, 300),
            ),
            graph(
                "Left out",
                Words(
                    "What was beyond a bound or could not be read, a second.",
                    "Zero.",
                    "scores: `limits.scores`; segments: `limits.segments`; chunks: another version"
                    " writes to the feature topic.",
                    "PlumblineLimitReached",
                ),
                "cps",
                *(
                    query(total(rate(f"{name}_total")), name.replace("_", " "))
                    for name in ("scores_dropped", "segments_dropped", "chunks_rejected")
                ),
            ),
        ],
    )


def _state() -> Row:
    age = f"time() - {own('last_checkpoint_timestamp_seconds')}"
    return Row(
        "State",
        [
            graph(
                "Age of the last checkpoint",
                Words(
                    "Seconds since the last checkpoint of each process.",
                    "Below `state.checkpoint_seconds`, 5 by default, and a little.",
                    "a crash now would repeat that much work; the log says what hinders it.",
                    "PlumblineCheckpointStale",
                ),
                "s",
                query(highest(age, "instance"), "{{instance}}"),
                thresholds=limits(60, 300),
            ),
            graph(
                "Time of a checkpoint",
                Words(
                    "Seconds that the last checkpoint took.",
                    "Well below the time between two.",
                    "the broker is slow, or the process has too many models.",
                ),
                "s",
                query(highest(own("checkpoint_seconds"), "instance"), "{{instance}}"),
            ),
            graph(
                "Bytes of checkpoints",
                Words(
                    "Bytes a second written to the state topic.",
                    "About 134 KB a model that had traffic, every checkpoint.",
                    "raise `state.checkpoint_seconds`.",
                ),
                "Bps",
                query(total(rate("checkpoint_bytes_total"), "instance"), "{{instance}}"),
            ),
            graph(
                "Checkpoints lost",
                Words(
                    "Checkpoints rolled back, and checkpoints that could not be restored.",
                    "Zero; a few around a rebalance.",
                    "read the log: it says what was lost, and from where detect goes on.",
                    "PlumblineCheckpointsFailing",
                ),
                "none",
                query(total(increase("checkpoints_failed_total")), "failed"),
                query(total(increase("checkpoints_unusable_total")), "unusable"),
            ),
            graph(
                "Rebalances",
                Words(
                    "Assignments of partitions, of both roles.",
                    "Only when processes start and stop.",
                    "give each process a `kafka.instance`; look for those that keep restarting.",
                    "PlumblineRebalancing",
                ),
                "none",
                query(total(increase("rebalances_total"), "instance"), "{{instance}}"),
            ),
            graph(
                "Transactions rolled back",
                Words(
                    "Transactions of ingest that were rolled back and read again. Nothing is lost.",
                    "Zero; a few when a broker restarts.",
                    "look at the broker and at `transaction.timeout.ms`.",
                    "PlumblineTransactionsAborting",
                ),
                "none",
                query(total(increase("transactions_aborted_total"), "instance"), "{{instance}}"),
            ),
        ],
    )


def _process() -> Row:
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
