"""Alert rules and panels of one role, against a real Prometheus that scrapes a daemon with it."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from grafana.alerts.rules import RULES, groups
from tests.integration.grafana_queries import queries
from tests.integration.harness import ROOT, Daemon
from tests.integration.prometheus import Prometheus

DASHBOARDS = ROOT / "grafana" / "dashboards"


def scraping(daemon: Daemon, folder: Path) -> Prometheus:
    """Return a Prometheus that scrapes the daemon every second."""
    port = daemon.wait_for("started")["port"]
    job = {"job_name": "plumbline", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    return Prometheus(folder, {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})


def selectors_without_series(prometheus: Prometheus, names: str) -> list[str]:
    """Return the selectors of the alert rules that match no series.

    names: pattern of the role's metrics. At least one rule must have such a metric.
    """
    selector = re.compile(rf"\bplumbline_(?:{names})\w*\b(?:{{[^}}]*}})?")
    rules = [rule for group in groups(RULES.read_text()) for rule in group.rules]
    found = {each for rule in rules for each in selector.findall(rule.expr)}
    assert found
    return sorted(each for each in found if not prometheus.query(each))


def panels_without_data(
    prometheus: Prometheus,
    dashboard: str,
    names: str,
    begun: float,
    *,
    least: int,
    chosen: Mapping[str, str] | None = None,
    no_data: Collection[str] = (),
) -> list[tuple[str, str]]:
    """Return title and query of the panels of a role without data since a time.

    names: pattern of the role's metrics. least: queries with one that the dashboard has at least.
    no_data: parts of queries that may have none.
    """
    now = time.time() + 1  # the steps of a query are whole seconds after its start
    pattern = re.compile(rf"plumbline_(?:{names})")
    asked = queries(DASHBOARDS / f"{dashboard}.json", prometheus, chosen or {}, (begun, now))
    asked = [each for each in asked if pattern.search(each.expression)]
    assert len(asked) >= least
    return [
        (each.panel, each.expression)
        for each in asked
        if not any(part in each.expression for part in no_data)
        and not (
            prometheus.query(each.expression)
            if each.instant
            else prometheus.over(each.expression, begun, now)
        )
    ]
