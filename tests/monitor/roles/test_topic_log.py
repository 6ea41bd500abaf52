"""The content of a topic, and the quality that follows from evaluations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.evaluations import HUMAN, Evaluation, encode_evaluation
from monitor.roles import topic_log
from monitor.roles.quality_log import QualityLog
from monitor.roles.topic_log import TopicLog
from monitor.telemetry.counters.judging import JudgeMetrics
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.http.api import HistoryUnavailableError
from tests.judges.trust.calibration.evaluations import PASS_RATE, TRUTH, evaluation, simulated

Session = Sequence[bytes | KafkaError]


class FakeFollower:
    """Reads a prepared session; then it is at the end of the topic, without new values."""

    sessions: Iterator[Session]

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self.partitions = {0}
        self.written = 0.0
        self.caught_up = False
        self._values = iter(next(self.sessions))

    def poll(self, seconds: float) -> bytes | None:
        """Return the next value, or raise the next error."""
        value = next(self._values, None)
        if isinstance(value, KafkaError):
            raise KafkaException(value)
        self.caught_up = value is None
        self.written += 1.0
        return value

    def cause(self, error: KafkaException) -> str:
        """Return the text of an error."""
        return str(error.args[0].str())

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def stop() -> Iterator[Callable[[float], bool]]:
    """Wait shortly, and end after the test."""
    ended = threading.Event()
    yield lambda seconds: ended.wait(min(seconds, 0.001))
    ended.set()


def prepare(monkeypatch: pytest.MonkeyPatch, *sessions: Session) -> None:
    """Let topics have these sessions, one after each error."""
    follower = type("Follower", (FakeFollower,), {"sessions": iter(sessions)})
    monkeypatch.setattr(topic_log, "TopicFollower", follower)


def test_an_error_starts_a_new_content(
    monkeypatch: pytest.MonkeyPatch, stop: Callable[[float], bool]
) -> None:
    """What was read before the error is not counted twice."""
    prepare(monkeypatch, [b"a", b"b", KafkaError(KafkaError._FAIL, "broken")], [b"a", b"b", b"c"])
    log = TopicLog(KafkaConfig(), "t", list[bytes], list.append, stop)
    assert log.content() == [b"a", b"b", b"c"]


def test_quality_is_that_of_the_version_that_was_written_last(
    monkeypatch: pytest.MonkeyPatch, stop: Callable[[float], bool]
) -> None:
    """A time in the future, which a client gave to a record, does not keep an old version."""
    old = [evaluation(number, 1.0, time=4.1e9) for number in range(40)]
    new = [evaluation(number, 4.0, version="2", time=1.7e9) for number in range(40)]
    prepare(monkeypatch, [encode_evaluation(each) for each in (*old, *new)])
    [found] = QualityLog(KafkaConfig(), Metrics(), stop).report()["quality"]
    assert found["value"] == pytest.approx(4.0)


def test_a_topic_that_cannot_be_read_is_an_error(
    monkeypatch: pytest.MonkeyPatch, stop: Callable[[float], bool]
) -> None:
    """The error names the topic and the reason."""
    denied = [[KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "denied")]] * 10_000
    prepare(monkeypatch, *denied)
    monkeypatch.setattr(topic_log, "CATCH_UP_SECONDS", 0.05)
    log = TopicLog(KafkaConfig(), "t", list[bytes], list.append, stop)
    with pytest.raises(HistoryUnavailableError, match="t: denied"):
        log.content()


def test_quality_of_evaluations_and_labels(
    monkeypatch: pytest.MonkeyPatch, stop: Callable[[float], bool]
) -> None:
    """Report and metrics have the corrected estimate and the agreement; no text, no request id."""
    judged, labels = simulated(3, 100)
    people = [
        Evaluation(
            **{name: getattr(each, name) for name in ("name", "request_id", "model", "time")},
            score=label.score,
            evaluator=HUMAN,
            version=each.version,
            probability=each.probability,
            judge_score=each.score,
        )
        for each, label in zip(judged, labels, strict=False)
    ]
    panel = [
        Evaluation(
            **{name: getattr(each, name) for name in ("name", "request_id", "model", "time")},
            score=each.score,
            votes=(each.score or 0, each.score or 0),
            explanation="a secret text",
        )
        for each in judged[:50]
    ]
    values = [encode_evaluation(each) for each in (*judged, *people, *panel)]
    prepare(monkeypatch, [b"no evaluation", *values])
    metrics = Metrics()
    metrics.judging = JudgeMetrics()
    published = threading.Event()
    original = QualityLog._publish

    def publish(self: QualityLog, *arguments: object) -> None:
        original(self, *arguments)  # type: ignore[arg-type]  # passed through
        published.set()

    monkeypatch.setattr(QualityLog, "_publish", publish)
    log = QualityLog(KafkaConfig(), metrics, stop)
    report = log.report()
    assert report["agreement"] == {"tone": 1.0}
    [found] = report["quality"]
    assert (found["model"], found["rubric"], found["corrected"]) == ("m", "tone", True)
    assert (found["scores"], found["labels"]) == (2_000, 100)
    assert found["lower"] <= TRUTH <= found["upper"] < found["judged"]
    assert "secret" not in str(report)
    assert "r1" not in str(report)
    assert published.wait(10)
    exported = metrics.judging.quality["m", "tone"]
    assert (exported.value, exported.lower) == (found["value"], found["lower"])
    assert metrics.judging.agreement == {"tone": 1.0}
    rate, passing = found["pass_rate"], metrics.judging.passing["m", "tone"]
    assert (rate["state"], rate["labels"]) == ("corrected", 100)
    assert rate["lower"] <= PASS_RATE <= rate["upper"]
    assert rate["judged"] > PASS_RATE + 0.05
    assert (passing.value, passing.lower, passing.upper) == (
        rate["value"],
        rate["lower"],
        rate["upper"],
    )


def test_a_pass_rate_without_labels_is_a_state_and_no_number(
    monkeypatch: pytest.MonkeyPatch, stop: Callable[[float], bool]
) -> None:
    """The report says why; the metrics have the mean, and no pass rate."""
    prepare(monkeypatch, [encode_evaluation(each) for each in simulated(1, 0, 50)[0]])
    metrics = Metrics(judging=JudgeMetrics())
    log = QualityLog(KafkaConfig(), metrics, stop)
    [found] = log.report()["quality"]
    assert found["pass_rate"]["state"] == "undefined"
    assert found["pass_rate"]["value"] is None
    assert "labels" in found["pass_rate"]["reason"]
    log._publish(log._log.content())
    assert metrics.judging is not None
    assert list(metrics.judging.quality) == [("m", "tone")]
    assert metrics.judging.passing == {}


def test_quality_is_not_exported_without_the_role(
    monkeypatch: pytest.MonkeyPatch, stop: Callable[[float], bool]
) -> None:
    """The API of another role has no gauges of judges."""
    prepare(monkeypatch, [encode_evaluation(each) for each in simulated(1, 0, 50)[0]])
    metrics = Metrics()
    assert len(QualityLog(KafkaConfig(), metrics, stop).report()["quality"]) == 1
    assert metrics.judging is None
