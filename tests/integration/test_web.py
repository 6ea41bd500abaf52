"""The web role on a real broker: samples become tasks, and ratings become labels."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from monitor.events.evaluations import (
    HUMAN,
    Evaluation,
    EvaluationError,
    decode_evaluation,
    encode_evaluation,
)
from monitor.ingest.sampling.codec import encode_sample
from monitor.kafka.topics import Topics
from monitor.records import ChatMessage, Inclusion, Sample
from tests.integration.broker import KafkaBroker
from tests.integration.harness import Daemon, produce, read_all, until
from tests.integration.pages import call, compare, send_labels_now
from tests.integration.prometheus import Prometheus
from tests.integration.role_panels import (
    panels_without_data,
    scraping,
    selectors_without_series,
)

SAMPLES = 12
HOSTILE = [b"hostile", None, b"{}", b'{"request_id": 1}', b"\xff\xfe", b"[" * 5_000]


def sample(number: int, *, uniform: bool = True) -> bytes:
    """Return a sample whose response is hostile text."""
    return encode_sample(
        Sample(
            request_id=f"r-{number}",
            timestamp=time.time(),
            model="llama",
            inclusion=Inclusion(uniform, 0.5, () if uniform else ("error",)),
            prompt=[ChatMessage("user", f"question {number}")],
            response=f"<script>alert({number})</script>\u202e",
            user="hash",
        )
    )


def judged(number: int) -> bytes:
    """Return the score of a judge for a sample."""
    return encode_evaluation(
        Evaluation(
            name="judge.safety",
            request_id=f"r-{number}",
            model="llama",
            time=time.time(),
            score=4.5,
            passed=True,
            evaluator="claude",
            version="v1",
            uniform=True,
            probability=0.5,
        )
    )


def labels(bootstrap: str, topic: str) -> dict[str, Evaluation]:
    """Return the newest label of people by request id."""
    found = {}
    for message in read_all(bootstrap, topic):
        try:
            evaluation = decode_evaluation(message.value() or b"")
        except EvaluationError:
            continue
        if evaluation.evaluator == HUMAN:
            found[evaluation.request_id] = evaluation
    return found


def check_dashboard(prometheus: Prometheus, port: int, begun: float) -> None:
    """Selectors of the alert rules have series, and panels of the dashboard have data."""
    _, task = call(port, "POST", "/api/v1/queues/answers/tasks")
    skipped = {"reason": "unclear", "active_ms": 1}
    assert call(port, "POST", f"/api/v1/tasks/{task['id']}/skip", skipped)[0] == 204
    sent = 'increase(plumbline_review_labels_total{outcome="sent"}[1m]) > 0'
    until(lambda: bool(prometheus.query(sent)), "the scrape of the label")
    assert selectors_without_series(prometheus, "web_|review_") == []
    assert call(port, "GET", "/api/v1/queues", Authorization="Bearer wrong")[0] == 401
    refused = 'increase(plumbline_web_refusals_total{reason="sign_in_wrong_token"}[1m]) > 0'
    until(lambda: bool(prometheus.query(refused)), "the scrape of the refusal")
    done = 'increase(plumbline_review_ratings_total{action="skipped"}[1m]) > 0'
    until(lambda: bool(prometheus.query(done)), "the scrape of what was skipped")
    unused = {"review_erased_total": "no texts were erased"}
    without = panels_without_data(prometheus, "review", "", begun, least=14, no_data=unused)
    assert without == []


def test_samples_become_labels(tmp_path: Path, real_broker: KafkaBroker) -> None:
    """Each sample is a task once, also after kill -9; its rating arrives as a label of people."""
    prefix, bootstrap = f"web-{time.time_ns()}", real_broker.bootstrap
    topics = Topics(prefix)
    url = f"sqlite:///{tmp_path}/web.db"
    queue = {"rubric": "safety", "overlap": 1, "settle_minutes": 0, "gold_share": 0}
    sections: dict[str, Any] = {
        "store": {"url": url},
        "web": {"enabled": True, "port": 0, "queues": {"answers": queue}},
    }

    def daemon() -> Daemon:
        return Daemon(tmp_path, bootstrap, prefix=prefix, logs=["none"], roles="web", **sections)

    with daemon() as first:
        first.wait_ready()
        produce(bootstrap, topics.samples, [*HOSTILE, *map(sample, range(SAMPLES))])
        produce(bootstrap, topics.evaluations, [*HOSTILE, *map(judged, range(SAMPLES))])
        produce(bootstrap, topics.samples, map(sample, range(SAMPLES)))  # again
        first.wait_metric("review_inflow_total", SAMPLES)
        port = int(first.wait_for("web application started")["port"])
        first.wait(
            lambda: call(port, "GET", "/api/v1/queues")[1][0]["counts"] == {"open": SAMPLES},
            "all samples as items",
        )
        status, task = call(port, "POST", "/api/v1/queues/answers/tasks")
        assert status == 200
        assert task["responses"][0].startswith("<script>alert(")
        scores = {dimension["name"]: 5 for dimension in task["dimensions"]}
        answer = f"/api/v1/tasks/{task['id']}/answer"
        assert call(port, "POST", answer, {"scores": scores})[0] == 200
        first.kill()

    begun = time.time()
    with daemon() as second, scraping(second, tmp_path) as prometheus:
        second.wait_ready()
        produce(bootstrap, topics.samples, [sample(99, uniform=False)])
        port = int(second.wait_for("web application started")["port"])
        second.wait(
            lambda: (
                call(port, "GET", "/api/v1/queues")[1][0]["counts"]
                == {"open": SAMPLES, "finished": 1}
            ),
            "the rating, and the new sample",
        )
        compare(port)
        send_labels_now(url)
        second.wait(lambda: len(labels(bootstrap, topics.evaluations)) == 3, "the labels")
        second.wait_metric("review_labels_total", 2)
        check_dashboard(prometheus, port, begun)
        assert second.stop() == 0
    found = labels(bootstrap, topics.evaluations)
    pair = [found.pop(f"pair-{name}") for name in "ab"]
    assert [(each.name, each.model, each.score) for each in pair] == [
        ("pairwise.safety", "a", 0.0),
        ("pairwise.safety", "b", 1.0),
    ]
    assert pair[0].comparison == pair[1].comparison != ""
    (label,) = found.values()
    assert (label.name, label.score, label.passed) == ("judge.safety", 5.0, True)
    assert (label.judge_score, label.version) == (4.5, "v1")
    assert label.probability in {0.0, 0.5 * 0.1}
