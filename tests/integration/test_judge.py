"""The judge role: every sample ends scored or unscored by name, exactly once, within the budget."""

from __future__ import annotations

import json
import math
import random
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from judges.calls import UnscoredReason
from judges.rubrics import loading
from monitor.events.evaluations import Evaluation, decode_evaluation
from monitor.kafka.topics import Topics
from monitor.records import Source
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    SHORT_SESSION,
    Daemon,
    chunks,
    committed,
    numbered,
    produce,
    read_all,
    until,
)
from tests.judges.replies import Reply, error, hang, html, message, reset
from tests.judges.server import ModelServer, Received

MakeTopic = Callable[..., str]
pytestmark = pytest.mark.usefixtures("real_broker")

RUBRIC = loading.load("answer_quality")
NO_BOOST = {"errors": 0, "refusals": 0, "negative_feedback": {"rate": 0}}


def verdict(score: int) -> Reply:
    """Return a verdict with the same score for every dimension."""
    scores = {each.name: score for each in RUBRIC.dimensions}
    answer = {"reasoning": "as told", "scores": scores, "strengths": [], "weaknesses": []}
    return message(json.dumps(answer))


def number_in(request: Received) -> int:
    """Return the number in the judged response."""
    [found] = re.findall(r"answer (\d+)\.", json.dumps(request.body["messages"]))
    return int(found)


FAULTS: tuple[Callable[[], Reply], ...] = (
    lambda: error(400),
    lambda: error(413),
    lambda: error(429, retry_after="86400"),
    lambda: error(500),
    lambda: error(529),
    html,
    lambda: message("not JSON"),
    lambda: message('```json\n{"a": 1}\n```'),
    lambda: message(content=None, stop_reason="refusal"),
    lambda: message(stop_reason="max_tokens"),
    reset,
    hang,
)


def judge(directory: Path, broker: KafkaBroker, prefix: str, logs: str, **more: Any) -> Daemon:
    """Return a process with all roles that judges every record."""
    judges = {
        "rubrics": ["answer_quality"],
        "model": "judge",
        "prices": {"judge": {"input": 1, "output": 5}},
        **more.pop("judges", {}),
    }
    return Daemon(
        directory,
        broker.bootstrap,
        prefix=prefix,
        logs=[logs],
        roles=more.pop("roles", "ingest,detect,judge"),
        kafka={"client": SHORT_SESSION},
        judges=judges,
        sampling={"rate": 1, "boost": NO_BOOST},
        **more,
    )


def client(server: ModelServer, **more: Any) -> dict[str, Any]:
    """Return the settings of a client of the server."""
    settings = {"base_url": server.url, "timeout_seconds": 2, "backoff_seconds": 0.2}
    return {"client": settings | more}


def records(count: int, start: int = 0) -> list[bytes]:
    """Return records with a response that names their number."""
    return [numbered(i, response=f"The answer {i}.") for i in range(start, start + count)]


def evaluations(broker: KafkaBroker, prefix: str) -> list[Evaluation]:
    """Return all committed evaluations; each is keyed by its request id."""
    found = []
    for each in read_all(broker.bootstrap, Topics(prefix).evaluations):
        evaluation = decode_evaluation(each.value() or b"")
        assert each.key() == evaluation.request_id.encode()
        found.append(evaluation)
    return found


def judged(broker: KafkaBroker, prefix: str) -> list[float]:
    """Return the scores in chunks of the judge, NaN for an unscored sample."""
    columns = [each for each in chunks(broker.bootstrap, prefix) if each.source is Source.JUDGE]
    return [score for each in columns for score in each.row("judge.answer_quality").tolist()]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A judge that gives the score 4."""
    with ModelServer(lambda _: verdict(4), key=None) as started:
        yield started


def test_every_fault_is_a_named_result(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Whatever the provider responds, each sample has one result, and its score counts once."""
    logs, prefix, n = topic(), uuid.uuid4().hex, 20 * len(FAULTS)

    def respond(request: Received) -> Reply:
        number = number_in(request)
        return FAULTS[number // 20]() if number % 20 == 0 else verdict(number % 6)

    with ModelServer(respond, key=None) as server:
        with judge(tmp_path, broker, prefix, logs, judges=client(server, retries=1)) as daemon:
            produce(broker.bootstrap, logs, records(n))
            group, samples = f"{prefix}-judge", Topics(prefix).samples
            daemon.wait(lambda: committed(broker.bootstrap, group, samples) == n, "all samples")
            daemon.wait(  # this metric is published every two seconds
                lambda: daemon.metric("judge_samples_total", outcome="judged") == n, "the samples"
            )
            unscored = daemon.metric("judge_unscored_total")
            assert daemon.metric("judge_score_count", model="m") == n - unscored
            assert daemon.stop() == 0
        assert server.problems == []
    found = evaluations(broker, prefix)
    assert Counter(each.request_id for each in found) == Counter(str(i) for i in range(n))
    for each in found:
        number = int(each.request_id)
        if number % 20:
            assert each.score == number % 6
        else:
            assert each.score is None
            assert each.unscored in set(UnscoredReason)
    scores = judged(broker, prefix)
    assert len(scores) == n
    assert Counter(score for score in scores if not math.isnan(score)) == Counter(
        each.score for each in found if each.score is not None
    )


def test_kills_and_rebalances_count_nothing_twice(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Two processes judge; one is killed, another takes over. Each sample counts once, and what the
    provider charged is below the cap."""
    logs, prefix, n = topic(), uuid.uuid4().hex, 600
    lock, charged = threading.Lock(), Counter[int]()

    def respond(request: Received) -> Reply:
        number = number_in(request)
        with lock:
            charged[number] += 1
        return Reply(**{**vars(verdict(number % 6)), "seconds": random.Random(number).random() / 4})

    with ModelServer(respond, key=None) as server:
        settings = client(server, concurrency=8, timeout_seconds=20)
        roles: dict[str, Any] = {"judges": settings, "roles": "judge"}
        with (
            judge(tmp_path, broker, prefix, logs, roles="ingest", judges=settings) as ingest,
            judge(tmp_path, broker, prefix, logs, **roles) as first,
            judge(tmp_path, broker, prefix, logs, **roles) as second,
        ):
            for each in (ingest, first, second):
                each.wait_ready()
            produce(broker.bootstrap, logs, records(n))
            for each in (first, second):
                each.wait_metric("judge_score_count", 50)
            first.kill()
            group, samples = f"{prefix}-judge", Topics(prefix).samples
            until(lambda: committed(broker.bootstrap, group, samples) == n, "all samples")
            assert second.stop() == 0
    found = evaluations(broker, prefix)
    assert Counter(each.request_id for each in found) == Counter(str(i) for i in range(n))
    assert all(each.score == int(each.request_id) % 6 for each in found)
    assert len(judged(broker, prefix)) == n
    # a kill and a hand-over repeat at most what was in flight or not committed for a second
    assert charged.total() - n <= 2 * 8 + 2 * 8 * 10


def test_the_cap_is_kept(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """With money for some samples, these are judged; the others are `no_budget`."""
    logs, prefix, n = topic(), uuid.uuid4().hex, 300
    with ModelServer(lambda _: verdict(4), key=None) as server:
        budget = {"budget": {"usd_per_day": 0.5}}
        with judge(tmp_path, broker, prefix, logs, judges=client(server) | budget) as daemon:
            produce(broker.bootstrap, logs, records(n))
            group, samples = f"{prefix}-judge", Topics(prefix).samples
            daemon.wait(lambda: committed(broker.bootstrap, group, samples) == n, "all samples")
            found = evaluations(broker, prefix)
            spent = sum(each.cost_usd for each in found)
            daemon.wait(  # the metrics are published every two seconds
                lambda: abs(daemon.metric("judge_cost_usd_total") - spent) < 1e-9, "the cost"
            )
            assert daemon.metric("judge_budget_remaining_usd") < 0.5
            assert daemon.stop() == 0
    assert len(found) == n
    assert 0 < spent <= 0.5
    assert {each.unscored for each in found if each.score is None} <= {"no_budget"}


def test_a_swap_of_the_model_is_an_event(
    broker: KafkaBroker, topic: MakeTopic, server: ModelServer, tmp_path: Path
) -> None:
    """Scores that fall open an alarm on the judged feature, of source judge; latency does not."""
    logs, prefix = topic(), uuid.uuid4().hex
    quick = {"reference": {"records": 500}, "windows": {"records": 50, "stride": 10}}
    rng = random.Random(3)
    good = [rng.choice((3, 4, 4, 5, 5)) for _ in range(700)]
    bad = [rng.choice((1, 2, 3, 3, 4)) for _ in range(300)]
    server.respond = lambda request: verdict((good + bad)[number_in(request)])
    with judge(tmp_path, broker, prefix, logs, judges=client(server) | quick) as daemon:
        produce(broker.bootstrap, logs, records(700))
        daemon.wait_for("warm-up ended, watching")  # with samples of both partitions
        produce(broker.bootstrap, logs, records(300, 700))
        opened = daemon.wait_for("drift opened")
        assert opened["feature"] == "judge.answer_quality"
        assert opened["source"] == "judge"
        assert "judged samples" in opened["summary"]
        assert daemon.stop() == 0


def test_a_lost_ledger_spends_nothing_today(
    broker: KafkaBroker, topic: MakeTopic, server: ModelServer, tmp_path: Path
) -> None:
    """If the state topic is deleted, the cap of the day is not given out a second time."""
    logs, prefix = topic(), uuid.uuid4().hex
    settings = {"judges": client(server)}
    with judge(tmp_path, broker, prefix, logs, **settings) as first:
        produce(broker.bootstrap, logs, records(20))
        first.wait_metric("judge_score_count", 20)
        assert first.stop() == 0
    admin, state = AdminClient({"bootstrap.servers": broker.bootstrap}), Topics(prefix).judge_state
    admin.delete_topics([state])[state].result()
    until(lambda: state not in admin.list_topics(timeout=10).topics, "the deletion")
    with judge(tmp_path, broker, prefix, logs, **settings) as second:
        produce(broker.bootstrap, logs, records(20, 20))
        second.wait_for("the budget of a partition is lost, judging goes on tomorrow", 2)
        second.wait(
            lambda: second.metric("judge_unscored_total", reason="no_budget") == 20, "20 results"
        )
        assert second.stop() == 0
    assert len(server.requests()) == 20
