"""Experiments over files: the same sums for any batches, and looks by event time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import asdict

from monitor.config.schema import Config
from monitor.experiments.decisions.result import Result
from monitor.ingest import files
from monitor.roles import local_experiments
from monitor.roles.local_experiments import LocalExperiment, LocalExperiments, credible_times

START = 1_767_225_600.0
DAY = 86_400.0


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
    experiments = LocalExperiments(config)
    decode, extractor = files.decoder_for(config), files.extractor_for(config)
    for first in range(0, len(records), batch):
        decoded = decode.many(records[first : first + batch])
        features = extractor.batch(decoded.fields, decoded.indices)
        experiments.observe(decoded.fields, features)
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


def test_an_experiment_without_exposures_has_a_result() -> None:
    """Records without a variant are no exposures; those without a unit are counted."""
    record = {"request_id": "r", "timestamp": START, "model": "m", "latency_ms": 1.0}
    in_it = record | {"experiments": {"exp": "control"}}
    experiments, results = run(config(), [msgspec.json.encode(r) for r in (record, in_it)], 10)
    assert experiments.counts.no_unit == {"exp": 1}
    found = results["exp"]
    assert (found.exposures, found.without_unit, found.time) == (0, 1, START + 60)
    assert [(arm.users, arm.verdict) for arm in found.arms] == [(0, "not_yet")] * 2


def test_equal_variants_have_no_winner() -> None:
    """Variants without a difference are neither better nor worse."""
    _, results = run(config(), lines(12_000, slower=1.0), 1_000)
    assert {arm.verdict for arm in results["exp"].arms} <= {"not_yet", "no_difference"}


def shifted(records: Sequence[bytes], seconds: float) -> list[bytes]:
    """Return records at other times."""
    found = [msgspec.json.decode(each) for each in records]
    return [msgspec.json.encode(r | {"timestamp": r["timestamp"] + seconds}) for r in found]


def by_arm(records: Sequence[bytes]) -> list[bytes]:
    """Return all records of the control, then those of the treatment, like a file for each."""
    return sorted(records, key=lambda record: b'"treatment"' in record)


def test_results_depend_on_event_time_only() -> None:
    """Order, batches and other traffic change nothing, the looks and the split included."""
    records = lines(3_000)
    experiments, expected = run(config(), records, 1_000)
    other = [r.replace(b"experiments", b"nothing") for r in records]
    mixed = [each for pair in zip(records, other, strict=True) for each in pair]
    for order, batch in ((records[::-1], 170), (by_arm(records), 700), (mixed, 1_000)):
        again, found = run(config(), order, batch)
        assert found == expected
        assert again.by_name["exp"].events == experiments.by_name["exp"].events
    assert expected["exp"].srm.status == "ok"
    assert len(expected["exp"].history["latency_ms"]["treatment"]) > 5


def test_equal_times_have_one_order() -> None:
    """A unit that is in both arms at the same time counts in the same arm in any order."""
    record = {"request_id": "r", "timestamp": START, "model": "m", "user_id": "u"}
    two = [
        msgspec.json.encode(record | {"experiments": {"exp": arm}})
        for arm in ("treatment", "control")
    ]
    for order in (two, two[::-1]):
        found = run(config(), order, 1)[1]["exp"]
        assert [arm.users for arm in found.arms] == [1, 0]
        assert found.in_several_arms == 1


def test_results_do_not_depend_on_the_clock() -> None:
    """Records of any year give the same verdict: times of the future are no errors."""
    records = lines(2_000)
    week = 7 * DAY * 52 * 20
    expected = run(config(), records, 1_000)[1]["exp"]
    found = run(config(), shifted(records, week), 1_000)[1]["exp"]
    assert found.time == expected.time + week
    assert found.comparisons == expected.comparisons


def hours(result: Result) -> float:
    """Return the hours of the treatment."""
    return result.arms[1].hours


def test_hours_count_from_the_begin_of_the_experiment() -> None:
    """Records before `start` or in the pre-period are no part of its time."""
    records = [*shifted(lines(500), -3 * DAY), *lines(500)]
    assert hours(run(config(), records, 300)[1]["exp"]) == pytest.approx(72, abs=1)
    found = run(config(start=START), records, 300)[1]["exp"]
    assert found.first_time == START
    assert hours(found) == pytest.approx(1 / 6)
    assert sum(arm.requests for arm in found.arms) == 500
    early = run(config(start=START - DAY), records, 300)[1]["exp"]
    assert early.first_time == START, "no exposure counts between the start and this time"
    none = run(config(start=START + DAY), records, 300)[1]["exp"]
    assert (none.first_time, none.exposures, none.arms[0].requests) == (None, 1_000, 0)


@pytest.mark.parametrize("shift", [-20_000 * DAY, -2 * DAY, 2 * DAY, 20_000 * DAY])
def test_single_wrong_times_move_no_look(shift: float) -> None:
    """The exposures of a unit with a wrong clock count, but at the time of the others."""
    records = lines(2_000)
    wrong = [r.replace(b'"user_id":"u', b'"user_id":"x') for r in records[:300]]
    one = [r.replace(b'"user_id":"x', b'"user_id":"w","x":"') for r in shifted(wrong, shift)]
    found = run(config(), [*one, *records], 500)[1]["exp"]
    assert (found.first_time, found.time) == (START, START + 600)
    assert sum(arm.requests for arm in found.arms) == 2_300


def test_times_of_few_units_are_credible() -> None:
    """A gap of days is an error only if few of many units are beyond it."""
    units, times = np.arange(10, dtype=np.uint64), np.arange(10.0)
    assert credible_times(units, times) == (0.0, 9.0)
    assert credible_times(units, times * 2 * DAY) == (2 * DAY, 16 * DAY)
    assert credible_times(units[:4], times[:4] * 2 * DAY) == (0.0, 6 * DAY)


def test_looks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more minutes than looks, the looks are at multiples of 2, 4, 8 minutes."""
    monkeypatch.setattr(local_experiments, "LOOKS", 4)
    experiments, results = run(config(), lines(2_000), 1_000)
    assert experiments.by_name["exp"].step == 4
    times = [point.time for point in results["exp"].history["latency_ms"]["treatment"]]
    assert times == [START + 240, START + 480, START + 600]


def test_long_logs_are_summed_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest half is summed; sums and users are those of all exposures."""
    records = lines(4_000)
    _, expected = run(config(), records, 500)
    monkeypatch.setattr(local_experiments, "BUFFERED_ROWS", 1_000)
    experiments, found = run(config(), records, 500)
    assert experiments.by_name["exp"].rows == 0
    assert found == expected, "the log is in order"
    experiments, late = run(config(), [*records[1_000:], *records[:1_000]], 500)
    assert late["exp"].late == 1_000
    old, new = asdict(expected["exp"].arms[0]), asdict(late["exp"].arms[0])
    assert [new[name] for name in ("users", "requests")] == [old["users"], old["requests"]]
