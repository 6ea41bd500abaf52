"""Experiments over files: the same sums for any batches, and looks by event time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.config.schema import Config
from monitor.ingest import files
from monitor.roles.local_experiments import LocalExperiment, LocalExperiments

START = 1_767_225_600.0
NOW = START + 86_400.0


def config(**more: Any) -> Config:
    """Return a configuration with one experiment `exp`."""
    experiment = {"variants": {"control": 1, "treatment": 1}, "goal": "latency_ms", "mde": 0.2}
    return Config.model_validate({"experiments": {"exp": experiment | more}})


def lines(n: int, *, slower: float = 1.5, users: int = 400) -> list[bytes]:
    """Return n records over ten minutes; the treatment is slower by a factor."""
    random = np.random.default_rng(3)
    of_user, latency = random.integers(0, users, n), random.lognormal(6, 0.5, n)
    return [
        msgspec.json.encode(
            {
                "request_id": f"r{i}",
                "timestamp": START + 600 * i / n,
                "model": "m",
                "latency_ms": float(latency[i] * (slower if of_user[i] % 2 else 1)),
                "user_id": f"u{of_user[i]}",
                "experiments": {"exp": "treatment" if of_user[i] % 2 else "control"},
            }
        )
        for i in range(n)
    ]


def run(config: Config, records: Sequence[bytes], batch: int) -> tuple[LocalExperiments, Any]:
    """Return the experiments after records in batches, and their results."""
    experiments = LocalExperiments(config, lambda: NOW)
    decode, extractor = files.decoder_for(config), files.extractor_for(config)
    for first in range(0, len(records), batch):
        decoded = decode.many(records[first : first + batch])
        features = extractor.batch(decoded.records, decoded.indices, decoded.char_counts)
        experiments.observe(decoded.records, features)
    return experiments, experiments.finish()


def sums(experiment: LocalExperiment) -> list[bytes]:
    """Return the sums of the last look."""
    assert experiment.data is not None
    found = experiment.data.sums["latency_ms"]
    return [found.x.tobytes(), found.n.tobytes(), str(experiment.data.requests).encode()]


def test_sums_do_not_depend_on_batches_or_on_the_order() -> None:
    """Any batches and any order of the records give the same sums, bit for bit."""
    records = lines(5_000)
    expected = sums(run(config(), records, 1_000)[0].by_name["exp"])
    for batch, order in ((5_000, records), (170, records), (1_000, records[::-1])):
        assert sums(run(config(), order, batch)[0].by_name["exp"]) == expected


def test_a_slower_variant_is_worse() -> None:
    """The verdict is found before the end of the log, once."""
    experiments, results = run(config(), lines(12_000), 1_000)
    [verdict] = [each for each in experiments.by_name["exp"].events if each.kind == "verdict"]
    assert verdict.outcome == "worse"
    assert verdict.time < START + 600
    assert results["exp"].time == START + 600
    assert {arm.variant: arm.users for arm in results["exp"].arms} == {
        "control": pytest.approx(200, abs=2),
        "treatment": pytest.approx(200, abs=2),
    }


def test_an_experiment_without_exposures_has_no_result() -> None:
    """Records without a variant are no exposures; those without a unit are counted."""
    record = {"request_id": "r", "timestamp": START, "model": "m", "latency_ms": 1.0}
    in_it = record | {"experiments": {"exp": "control"}}
    experiments, results = run(config(), [msgspec.json.encode(r) for r in (record, in_it)], 10)
    assert results == {}
    assert experiments.counts.no_unit == {"exp": 1}


def test_equal_variants_have_no_winner() -> None:
    """Variants without a difference are neither better nor worse."""
    _, results = run(config(), lines(12_000, slower=1.0), 1_000)
    assert {arm.verdict for arm in results["exp"].arms} <= {"not_yet", "no_difference"}
