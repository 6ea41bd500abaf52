"""The benchmark of experiments adds what it says, and compares ingest with and without them."""

from __future__ import annotations

from benchmarks import experiment_sums
from monitor.config.schema import Config
from monitor.experiments.exposures.columns import decode_exposures
from monitor.experiments.sums.shard import Shard
from tests.integration.harness import numbered


def test_messages_have_a_value_of_every_metric() -> None:
    """Every exposure has a value of each feature, so that the time is by record and metric."""
    layout = experiment_sums.layout()
    shard = Shard(layout)
    for payload in experiment_sums.messages(200, 3):
        shard.add(decode_exposures(payload), 1e10)
    shard.close_until(float("inf"))
    assert shard.closed.means.n.sum() == 600 * len(layout.means)
    assert experiment_sums.sums_us(experiment_sums.messages(100, 3), 100) > 0


def test_ingest_writes_exposures_where_they_are_configured() -> None:
    """Both runs of a round process the same records."""
    stored = experiment_sums.with_experiment([numbered(i) for i in range(300)])
    experiments = {"experiments": {"exp": experiment_sums.EXPERIMENT}}
    for config in (Config(), Config.model_validate(experiments)):
        assert experiment_sums.ingest_us(config, stored) > 0
