"""The auditor of a running daemon: whose turn it is, what it knows, and what it says once."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from monitor import audit
from monitor.auditor import Auditor
from monitor.checkpoint import Partition
from monitor.config import AlarmsConfig, Config
from monitor.drift import DriftMonitor
from monitor.health import Health
from monitor.metrics import Metrics
from monitor.roles import detect
from monitor.roles.detect import Detect
from monitor.watch import Watch
from tests.monitor import made
from tests.monitor.test_audit import config, independent, watching

GENEROUS = config(per_page=500)


def steps(auditor: Auditor, count: int, *watches: Watch) -> None:
    """So many steps."""
    for _ in range(count):
        auditor.step(watches)


def known(auditor: Auditor, watch: Watch) -> audit.Audited:
    """What the auditor knows of a watch that has its reference."""
    found = auditor.audited(watch)
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def short_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas of five steps."""
    monkeypatch.setattr(audit, "REPLICA_WINDOWS", 25)


def test_steps_add_up_to_whole_replicas() -> None:
    """However it was interrupted, so many steps know what so many replicas hold."""
    profile = independent(1)
    watch = watching(profile, GENEROUS)
    auditor = Auditor(GENEROUS)
    steps(auditor, 12, watch)
    tallied = audit.run(profile, GENEROUS, watch.levels, 2 * 24_500)
    assert tallied.replicas == 2
    assert known(auditor, watch) == audit.result(GENEROUS, profile, tallied)
    assert known(auditor, watch).pages


def test_models_take_turns() -> None:
    """The one with the fewest replicas is next, so that all are audited alike."""
    watches = [watching(independent(seed), GENEROUS) for seed in range(3)]
    auditor = Auditor(GENEROUS)
    steps(auditor, 18, *watches)
    assert [known(auditor, watch).records for watch in watches] == [24_500] * 3


def test_nobody_to_audit() -> None:
    """Warm-ups and segments are passed over, and nothing is known of them."""
    warming = made.watcher(GENEROUS)
    segment = Watch("m", "metadata.route=web", GENEROUS, lambda: None)
    segment.adopt(independent(1))
    auditor = Auditor(GENEROUS)
    steps(auditor, 3, warming, segment)
    assert auditor.audited(warming) is None
    assert auditor.audited(segment) is None
    assert not auditor.tallies


def test_a_short_reference_is_said_once() -> None:
    """What cannot be audited is logged, and not tried again; others are audited all the same."""
    short = watching(independent(1, 1_500), GENEROUS)
    fine = watching(independent(2), GENEROUS)
    auditor = Auditor(GENEROUS)
    with capture_logs() as logs:
        steps(auditor, 20, short, fine)
    assert [line["event"] for line in logs] == ["reference cannot be audited"]
    assert known(auditor, short).measured is None
    assert known(auditor, fine).records > 24_500


def test_a_broken_promise_is_said_once() -> None:
    """With the numbers, the features behind it, and what to do."""
    watch = watching(independent(1), config())
    watch.levels = {name: 100 * level for name, level in watch.levels.items()}
    auditor = Auditor(config())
    with capture_logs() as logs:
        steps(auditor, 60, watch)
    (line,) = logs
    assert line["event"] == "the audit finds more false pages than promised"
    assert line["log_level"] == "warning"
    assert line["measured_per_day"] > line["promised_per_day"] > 0
    assert line["mostly"][0].endswith(" by psi")
    assert "build a reference" in line["advice"]


def test_a_kept_promise_is_silence() -> None:
    """Nobody is told that all is well."""
    watch = watching(independent(1), Config(alarms=AlarmsConfig()))
    with capture_logs() as logs:
        steps(Auditor(Config()), 20, watch)
    assert logs == []


def test_the_daemon_gives_it_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a step that took a tenth of a second, there is none for the next ten."""
    now = [100.0]
    role = Detect(GENEROUS, {}, Metrics(), Health(), lambda _: False)

    def step(watches: Any) -> None:
        now[0] += 0.1

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(role.auditor, "step", step)
    role._audit()
    assert role.audit_due == pytest.approx(100.0 + 0.1 / detect.AUDIT_SHARE)


def test_what_is_known_is_published() -> None:
    """The promise and what has been measured so far reach the metrics of the daemon."""

    class Consumer:
        def get_watermark_offsets(self, at: object, *, cached: bool) -> tuple[int, int]:
            return 0, -1

    role = Detect(GENEROUS, {}, Metrics(), Health(), lambda _: False)
    role.consumer = cast(Any, Consumer())
    monitor = DriftMonitor(GENEROUS, {})
    watch = monitor.watches["m", ""] = watching(independent(1), GENEROUS)
    monitor.watches["other", ""] = made.watcher(GENEROUS)
    role.partitions[0] = Partition(monitor, 0)
    role._publish()
    (first,) = role.metrics.audits
    for _ in range(4):
        role._audit()
    role._publish()
    assert first.measured is None
    assert list(role.metrics.audits) == [role.auditor.audited(watch)]
    assert role.metrics.audits[0].records > 0
