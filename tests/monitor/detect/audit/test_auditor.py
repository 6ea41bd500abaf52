"""The self-audit of a running daemon: how models share it, its results and its warnings."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from structlog.testing import capture_logs

from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig
from monitor.detect.audit import self_audit
from monitor.detect.audit.auditor import Auditor
from monitor.detect.monitor import DriftMonitor
from monitor.detect.watch import Watch
from monitor.records import Source
from monitor.roles import detect
from tests.monitor import judged, synthetic
from tests.monitor.detect.audit.test_self_audit import config, independent, watching
from tests.monitor.fake_kafka import FakeKafka

GENEROUS = config(per_page=500)


def steps(auditor: Auditor, count: int, *watches: Watch) -> None:
    """Take a number of steps."""
    for _ in range(count):
        auditor.step(watches)


def result(auditor: Auditor, watch: Watch) -> self_audit.AuditResult:
    """Return the result so far of a watch that has its reference."""
    found = auditor.result(watch)
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def short_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make replicas shorter: a few steps each."""
    monkeypatch.setattr(self_audit, "REPLICA_WINDOWS", 25)


REPLICA_RECORDS = 24_500
"""Records evaluated in a replica of 25 windows: the first window is not full before its end."""


def test_steps_add_up_to_whole_replicas() -> None:
    """An audit in steps, among those of other models, has the result of one without a break."""
    watches = [watching(independent(seed), GENEROUS) for seed in (1, 2)]
    watch, _ = watches
    assert watch.profile is not None
    auditor = Auditor()
    while result(auditor, watch).records < 2 * REPLICA_RECORDS:
        steps(auditor, 1, *watches)
    tallied = self_audit.run(watch.profile, GENEROUS, [watch.main.levels], 2 * REPLICA_RECORDS)
    assert tallied.replicas == 2
    assert result(auditor, watch) == self_audit.result(GENEROUS, watch.profile, tallied)
    assert result(auditor, watch).pages


def test_models_share_the_audit_equally() -> None:
    """At no time is a model more than one replica ahead of another one."""
    watches = [watching(independent(seed), GENEROUS) for seed in range(3)]
    auditor = Auditor()
    records: list[int] = []
    for _ in range(60):
        steps(auditor, 1, *watches)
        records = [result(auditor, watch).records for watch in watches]
        assert max(records) - min(records) <= REPLICA_RECORDS
    assert min(records) > 2 * REPLICA_RECORDS


def test_warm_ups_and_segments_are_not_audited() -> None:
    """They have no result, and take no time from a model that is audited."""
    warming = synthetic.watcher(GENEROUS)
    segment = Watch("m", "metadata.route=web", synthetic.of_log(GENEROUS), lambda: None)
    segment.adopt(independent(1))
    whole = watching(independent(2), GENEROUS)
    alone, among = Auditor(), Auditor()
    steps(alone, 20, whole)
    steps(among, 3, warming, segment)
    steps(among, 20, warming, segment, whole)
    assert among.result(warming) is None
    assert among.result(segment) is None
    assert result(among, whole) == result(alone, whole)


def test_a_short_reference_is_logged_once() -> None:
    """A reference that is too short is logged once and left out; the others are audited."""
    short = watching(independent(1, 1_500), GENEROUS)
    fine = watching(independent(2), GENEROUS)
    auditor = Auditor()
    with capture_logs() as logs:
        steps(auditor, 20, short, fine)
    assert [line["event"] for line in logs] == ["reference cannot be audited"]
    assert result(auditor, short).measured is None
    assert result(auditor, fine).records > REPLICA_RECORDS


def test_an_exceeded_budget_is_logged_once() -> None:
    """The warning has the numbers, the features with most false pages, and advice."""
    watch = watching(independent(1), config())
    watch.main.levels = {name: 100 * level for name, level in watch.main.levels.items()}
    auditor = Auditor()
    with capture_logs() as logs:
        steps(auditor, 60, watch)
    (line,) = logs
    assert line["event"] == "audit found more false pages than promised"
    assert line["log_level"] == "warning"
    assert line["measured_per_day"] > line["promised_per_day"] > 0
    assert line["mostly"][0].endswith(" by psi")
    assert "build a reference" in line["advice"]


def test_a_kept_budget_is_not_logged() -> None:
    """Nothing is logged while the measured rate is within the budget."""
    watch = watching(independent(1), Config(alarms=AlarmsConfig()))
    with capture_logs() as logs:
        steps(Auditor(), 20, watch)
    assert logs == []


def audited_in(
    seconds: float, monkeypatch: pytest.MonkeyPatch, step_seconds: float
) -> tuple[float, list[tuple[self_audit.AuditResult, ...]]]:
    """Run an idle detect member of two models, one without a reference, on a simulated clock.

    step_seconds: how long each step of the audit takes.
    Returns the seconds spent in the audit, and the published results at each wait of the member.
    """
    profile = independent(1)
    clock, spent, published = 1000.0, 0.0, list[tuple[self_audit.AuditResult, ...]]()
    started, step = clock, Auditor.step

    def idle(waited: float) -> bool:
        nonlocal clock
        clock += waited
        published.append(tuple(cluster.metrics.audits))
        return clock >= started + seconds

    def timed(self: Auditor, watches: Iterable[Watch]) -> None:
        nonlocal clock, spent
        step(self, watches)
        clock, spent = clock + step_seconds, spent + step_seconds

    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr(Auditor, "step", timed)
    chunks = [synthetic.stream(20, model=name) for name in ("m", "other")]
    cluster = FakeKafka(chunks, idle=idle)
    cluster.run(monkeypatch, GENEROUS, {("m", ""): profile})
    return spent, published


def test_the_daemon_limits_the_time_of_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit takes about 1 % of the time, however long a step is."""
    spent, _ = audited_in(300.0, monkeypatch, step_seconds=0.25)
    assert spent / 300.0 == pytest.approx(detect.AUDIT_SHARE, rel=0.1)


def test_the_daemon_publishes_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics have the budget of an audited model at first, then the measured rate as well."""
    _, published = audited_in(60.0, monkeypatch, step_seconds=0.01)
    results = [audits for audits in published if audits]
    assert {result.model for audits in results for result in audits} == {"m"}
    first, *_, last = [result for (result,) in results]
    assert first.promised > 0
    assert first.measured is None
    assert last.measured is not None
    assert last.records > REPLICA_RECORDS


def test_each_source_is_audited_with_its_own_windows_and_share() -> None:
    """A judged reference of 2,000 samples gets a fifth of the budget, and windows of 200."""
    monitor = DriftMonitor(judged.config(), {})
    monitor.process(judged.samples(judged.REFERENCE))
    watch = monitor.of(Source.JUDGE).watches["m", ""]
    auditor = Auditor()
    assert result(auditor, watch).promised == pytest.approx(0.2 / 30)
    while not result(auditor, watch).records:
        steps(auditor, 5, watch)
    assert not result(auditor, watch).contradicts
