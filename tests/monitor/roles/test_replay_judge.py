"""Items that a judge scores: real lm-eval, a local OpenAI endpoint, a local Messages API."""

from __future__ import annotations

import dataclasses
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from judges.rubrics import loading
from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.roles import replay_lease
from monitor.roles.replay_baselines import freeze
from monitor.roles.replay_judge import configured_judge, sample_of
from monitor.roles.replay_lease import Workplace
from monitor.roles.replay_plan import replay_plan, run_request
from monitor.roles.replay_setup import workplace
from monitor.roles.replay_worker import ReplayWorker
from monitor.telemetry.counters.metrics import Metrics
from replay.results import TaskScores
from replay.sets.item import Item, Provenance
from replay.store import Store, baselines, open_store, outbox, queue, results
from replay.store.costs import judging
from replay.store.costs.judging import JudgeCaps
from replay.store.queries.integrity import verify
from replay.store.queue import Run
from tests.judges.replies import Reply, error, message
from tests.judges.server import KEY, ModelServer, Received
from tests.long_form import long_only
from tests.monitor.cli.command_line import PLUMBLINE, ROOT
from tests.replay.openai_server import OpenAIServer

MODEL = "chat"
COST = 40 * 1_000 + 30 * 5_000
"""Nanodollars of a verdict: tokens of the provider's stand-in at the configured prices."""
COUNT = 45
NAMES = [each.name for each in loading.load("answer_quality").dimensions]


def verdict(score: int) -> Reply:
    """Return a verdict with the same score for every dimension."""
    scores = dict.fromkeys(NAMES, score)
    answer = {"reasoning": "read it", "scores": scores, "strengths": [], "weaknesses": []}
    return message(msgspec.json.encode(answer).decode())


def judge(request: Received) -> Reply:
    """Score good answers 4 or 5 and poor ones 1: the answers say which they are."""
    data = str(request.body["messages"][0]["content"])
    if "a poor answer" in data:
        return verdict(1)
    return verdict(5 if "number 1" in data else 4)


def config(tmp_path: Path, endpoint: str, judge_url: str, **changes: Any) -> Config:
    """Return a configuration with a judge for items."""
    replay = {
        "model": {"base_url": endpoint, "max_new_tokens": 16},
        "items": {"baseline": COUNT, "least": 40, "drifted": 0, "scoring": "judge"},
        "rubric": "answer_quality",
        "margin": 0.2,
        "chunk_size": 15,
        "directory": str(tmp_path / "work"),
    }
    judges: dict[str, Any] = {
        "model": "claude-haiku-5-5",
        "prices": {"claude-haiku-5-5": {"input": 1.0, "output": 5.0}},
        "client": {
            "base_url": judge_url,
            "api_key": KEY,
            "timeout_seconds": 5.0,
            "retries": 1,
            "backoff_seconds": 0.1,
        },
        "budget": {"usd_per_day": 100.0},
    }
    judges["client"] |= changes.pop("limits", {})
    return Config.model_validate(
        {
            "store": {"url": f"sqlite:///{tmp_path}/store.db"},
            "replay": replay | changes.pop("replay", {}),
            "judges": judges | changes,
        }
    )


def items() -> tuple[Item, ...]:
    """Return prompts that have no single right answer."""
    return tuple(
        Item(
            prompt=f"Describe the number {number} to a child.",
            scoring="judge",
            provenance=Provenance(origin="sample"),
        )
        for number in range(COUNT)
    )


@dataclass
class Bench:
    """A store, a worker, the endpoint of the model and the API of the judge."""

    store: Store
    place: Workplace
    endpoint: OpenAIServer
    judge: ModelServer
    now: list[float] = field(default_factory=lambda: [time.time()])

    def work(self) -> bool:
        """Let a worker do a run."""
        return ReplayWorker(self.place, f"w{random.random()}").work_once()

    def baseline(self) -> Run:
        """Freeze the items and run the baseline."""
        with self.store.write() as connection:
            found = MODEL, items()
            assert freeze(connection, self.place.config, found, "first", self.now[0]) == "baseline"
        self.work()
        with self.store.read() as connection:
            row = connection.exec_driver_sql("SELECT id FROM runs").scalar_one()
        return self.run(row)

    def replay(self, alarm: str) -> Run:
        """Do a run against the baseline."""
        identity = self.enqueue(alarm)
        self.work()
        return self.run(identity)

    def enqueue(self, alarm: str) -> str:
        """Insert a run; return its id."""
        plan = replay_plan(self.place.config.replay, MODEL)
        assert plan is not None
        with self.store.write() as connection:
            found = baselines.find(connection, MODEL)
            digest = "" if found is None else found.set_digest
            request = run_request(plan, MODEL, digest, alarm, "drift")
            assert queue.enqueue(connection, request, self.now[0])
        return request.id

    def run(self, identity: str) -> Run:
        """Return a run as stored."""
        with self.store.read() as connection:
            found = queue.find(connection, identity)
        assert found is not None
        return found

    def scores(self, run: str) -> tuple[TaskScores, ...]:
        """Return the scores of a run."""
        with self.store.read() as connection:
            return results.load(connection, run)

    def asked(self) -> int:
        """Return the number of requests to the judge."""
        return len(self.judge.requests())


@contextmanager
def bench(tmp_path: Path, **changes: Any) -> Iterator[Bench]:
    """Yield a bench."""
    answer = "A good answer, at length."
    with ModelServer(judge) as provider, OpenAIServer(answer=lambda _: answer) as endpoint:
        chosen = config(tmp_path, endpoint.url, provider.url, **changes)
        with open_store(chosen.store.url) as store:
            stop = threading.Event()
            place = workplace(chosen, store, Metrics(), stop.wait)
            yield Bench(store, place, endpoint, provider)


def poor(share: int) -> Callable[[str], str]:
    """Return a model whose answers to one in `share` prompts are poor."""
    return lambda text: "a poor answer" if hash_of(text) % share == 0 else "A good answer."


def hash_of(text: str) -> int:
    """Return a number that depends on the text only."""
    return sum(text.encode())


def test_a_judge_decides_whether_the_model_got_worse(tmp_path: Path) -> None:
    """Worse answers: regressed, by graded scores. Other good ones: not regressed. Cost is kept."""
    with bench(tmp_path) as place:
        first = place.baseline()
        assert (first.verdict, first.detail) == ("inconclusive", "")
        assert place.asked() == COUNT, "each answer is judged once"
        (task,) = place.scores(first.id)
        values = {score.metrics["judge"] for score in task.scores}
        assert (values, task.binary) == ({0.8, 1.0}, False)
        place.endpoint.answer = lambda _: "Another good answer."
        assert place.replay("a").verdict == "not_regressed"
        place.endpoint.answer = poor(2)
        worse = place.replay("b")
        assert worse.verdict == "regressed"
        assert worse.cost_usd > 0
        with place.store.read() as connection:
            events = [msgspec.json.decode(row.payload) for row in outbox.pending(connection, 9)]
            assert verify(connection).broken is None
            day, _ = judging.spent(connection, time.time())
        assert [event["verdict"] for event in events] == ["not_regressed", "regressed"]
        (compared,) = events[1]["tasks"]
        assert (compared["metric"], compared["delta"] < -0.2) == ("judge", True)
        assert day == place.place.counts.judge_nanodollars
        assert not place.judge.problems


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


@pytest.mark.parametrize("point", [pytest.param(4, marks=long_only), 20])
def test_a_kill_does_not_pay_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    """What the judge had said is in the store before the chunk of its answers is."""
    with bench(tmp_path, limits={"concurrency": 1}) as place:
        kept = judging.keep
        calls = Counter[str]()

        def keep(*arguments: Any) -> None:
            kept(*arguments)
            calls["keep"] += len(arguments[2])
            if calls["keep"] >= point:
                monkeypatch.setattr(judging, "keep", kept)
                calls["dying"] = 1

        def beat(*_: Any) -> bool:
            if calls["dying"]:
                raise Killed
            return True

        monkeypatch.setattr(judging, "keep", keep)
        with monkeypatch.context() as patch:
            patch.setattr(replay_lease.Hold, "go_on", beat)
            with pytest.raises(Killed):
                place.baseline()
        before = place.asked()
        assert before >= point
        later = time.time() + replay_lease.LEASE_SECONDS + 1
        object.__setattr__(place.place, "clock", lambda: later)
        assert place.work()
        with place.store.read() as connection:
            (row,) = connection.exec_driver_sql("SELECT id, verdict FROM runs").all()
        assert row.verdict == "inconclusive"
        assert place.asked() <= COUNT + 1, "only a call that was open is repeated"
        (task,) = place.scores(row.id)
        assert sorted(score.doc_id for score in task.scores) == list(range(COUNT))


def test_kill_9_while_answers_are_judged(tmp_path: Path) -> None:
    """Another process ends the run: calls that were open are repeated, and no others."""
    at_once = 4
    limits = {"concurrency": at_once}
    with bench(tmp_path, limits=limits, replay={"chunk_size": COUNT}) as place:
        # judged slowly, so that the kill comes between the answers
        place.judge.respond = lambda request: dataclasses.replace(judge(request), seconds=0.1)
        path = tmp_path / "plumbline.yaml"
        content = config(tmp_path, place.endpoint.url, place.judge.url, limits=limits).model_dump(
            mode="json", include={"store": {"url"}, "replay": True, "judges": True}
        )
        content["replay"]["chunk_size"] = COUNT
        (tmp_path / "key").write_text(KEY)
        content["judges"]["client"]["api_key"] = {"file": str(tmp_path / "key")}
        path.write_text(yaml.safe_dump(content))
        with place.store.write() as connection:
            found = MODEL, items()
            assert freeze(connection, place.place.config, found, "first", time.time()) == "baseline"
        words = [*PLUMBLINE, "replay", "work", "--once", "-c", str(path)]
        with subprocess.Popen(words, cwd=ROOT) as worker:
            until = time.monotonic() + 60
            while place.asked() < 15 and time.monotonic() < until:
                time.sleep(0.02)
            worker.kill()
        before = place.asked()
        assert 15 <= before < COUNT
        with place.store.write() as connection:
            connection.exec_driver_sql("UPDATE runs SET lease_until = 0")
            kept = connection.exec_driver_sql("SELECT count(*) FROM judge_scores").scalar_one()
        assert kept >= before - 2 * at_once
        place.judge.respond = judge
        assert subprocess.run(words, cwd=ROOT, check=False).returncode == 0
        assert place.asked() <= COUNT + at_once
        with place.store.read() as connection:
            (row,) = connection.exec_driver_sql("SELECT id, verdict, reason FROM runs").all()
            day, _ = judging.spent(connection, time.time())
        assert (row.verdict, row.reason) == ("inconclusive", "")
        (task,) = place.scores(row.id)
        assert sorted(score.doc_id for score in task.scores) == list(range(COUNT))
        assert day >= COUNT * COST, "what was reserved at the kill stays spent"


UNSCORED = [
    pytest.param(lambda: message("not JSON at all"), "invalid_responses", id="invalid"),
    pytest.param(
        lambda: message("", stop_reason="refusal"),
        "invalid_responses",
        id="refusal",
        marks=long_only,
    ),
    pytest.param(lambda: error(401), "judge_unavailable", id="unauthorized", marks=long_only),
    pytest.param(lambda: error(529), "judge_unavailable", id="overloaded", marks=long_only),
    pytest.param(lambda: Reply(fault="hang"), "judge_unavailable", id="hang"),
]


@pytest.mark.parametrize(("reply", "reason"), UNSCORED)
def test_answers_without_a_score_are_an_error_and_never_a_regression(
    tmp_path: Path, reply: Callable[[], Reply], reason: str
) -> None:
    """Whatever is wrong with the judge, the model is not blamed."""
    with bench(tmp_path, replay={"chunk_size": 45}, limits={"timeout_seconds": 0.5}) as place:
        place.baseline()
        place.judge.respond = lambda _: reply()
        place.endpoint.answer = lambda _: "Another good answer."
        run = place.enqueue("a")
        while place.run(run).state != "finished":
            assert place.work()
            object.__setattr__(place.place, "clock", _later(place))
        found = place.run(run)
        assert (found.verdict, found.reason) == ("error", reason), found.detail


def _later(place: Bench) -> Callable[[], float]:
    later = place.place.clock() + 100.0
    return lambda: later


def test_few_unscored_answers_are_left_out(tmp_path: Path) -> None:
    """They are named and counted, and never zero."""
    with bench(tmp_path) as place:
        place.baseline()

        def respond(request: Received) -> Reply:
            return message("") if "number 7 " in str(request.body) else judge(request)

        place.judge.respond = respond
        place.endpoint.answer = lambda _: "Another good answer."
        run = place.replay("a")
        assert run.verdict == "not_regressed", run.detail
        (task,) = place.scores(run.id)
        failed = [score.failed for score in task.scores if score.failed]
        assert failed == ["unscored: invalid_output"]


def test_money_that_is_used_up_is_an_error(tmp_path: Path) -> None:
    """The cap of the purpose holds, at worst-case prices, and the run says what to raise."""
    with bench(tmp_path) as place:
        found = place.place.judge
        assert found is not None
        sample = sample_of(items()[0], "A good answer, at length.", MODEL)
        cap = found.evaluator.worst_case(sample, found.prices) + 10 * COST
        capped = dataclasses.replace(found, caps=JudgeCaps(cap))
        object.__setattr__(place.place, "judge", capped)
        run = place.baseline()
        assert (run.verdict, run.reason) == ("error", "budget")
        assert "judges.budget.shares.replay" in run.detail
        with place.store.read() as connection:
            day, _ = judging.spent(connection, time.time())
        assert 5 * COST <= day <= cap
        assert day == place.place.counts.judge_nanodollars


def test_another_judge_is_not_compared(tmp_path: Path) -> None:
    """Scores of two judges are different quantities: the baseline must be run again."""
    with bench(tmp_path) as place:
        place.baseline()
        prices = {name: {"input": 1.0, "output": 5.0} for name in ("other", "claude-haiku-5-5")}
        changed = config(
            tmp_path, place.endpoint.url, place.judge.url, model="other", prices=prices
        )
        object.__setattr__(place.place, "judge", configured_judge(changed))
        found = place.replay("a")
        assert (found.verdict, found.reason) == ("error", "mismatched_items")


def test_without_a_rubric_the_run_says_what_to_set(tmp_path: Path) -> None:
    """A set with items for a judge is an error by name."""
    with bench(tmp_path) as place:
        object.__setattr__(place.place, "judge", None)
        found = place.baseline()
        assert (found.verdict, found.reason) == ("error", "broken_task")
        assert "set replay.rubric" in found.detail


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model": None}, "judges.model"),
        ({"prices": {}}, "no price"),
        ({"replay": {"rubric": "answer_qualty"}}, "did you mean 'answer_quality'"),
        ({"client": {"base_url": "https://api.example.com"}}, "api_key"),
    ],
)
def test_a_judge_that_cannot_work_is_found_at_the_start(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    """The message names the key."""
    with pytest.raises(UserError, match=problem):
        configured_judge(config(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:9", **changes))
