"""A store with frozen items, and a stand-in for the process of lm-eval, for tests of runs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from monitor.config.schema import Config
from monitor.roles.replay_baselines import freeze
from monitor.roles.replay_lease import Workplace
from monitor.roles.replay_plan import ReplayDetails, replay_plan, run_request
from monitor.roles.replay_worker import ReplayWorker
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import ReplayMetrics
from replay.results import ItemScore, TaskScores
from replay.runner import supervise
from replay.runner.chunk import Chunk, RunEnvironment
from replay.runner.plan import RunPlan
from replay.sets.item import Item, Provenance
from replay.store import Store, baselines, open_store, outbox, queue
from replay.store.queue import Run

MODEL = "chat"
NOW = 1_790_000_000.0


def config(**replay: Any) -> Config:
    """Return a configuration of replay with a small set and small chunks."""
    defaults = {
        "model": {"base_url": "http://127.0.0.1:9/v1"},
        "items": {"baseline": 60, "least": 40},
        "chunk_size": 10,
        "margin": 0.2,
    }
    return Config.model_validate({"replay": defaults | replay})


def items(count: int = 60) -> tuple[Item, ...]:
    """Return items with different prompts."""
    return tuple(
        Item(
            prompt=f"question {number} {hashlib.md5(str(number).encode()).hexdigest()}",
            scoring="exact_match",
            target=f"answer {number}",
            provenance=Provenance(origin="sample"),
        )
        for number in range(count)
    )


@dataclass
class Runner:
    """Stands in for `supervise.run`: scores each item of the task files by a function.

    score: of an item, by the text of its prompt. before: called with the number of each chunk.
    calls: number of runs. answered: doc ids that were answered, of all runs.
    response: text of each answer.
    """

    score: Callable[[str], float] = lambda _: 1.0
    before: Callable[[int], None] = lambda _: None
    calls: int = 0
    answered: list[int] = field(default_factory=list)
    plans: list[RunPlan] = field(default_factory=list)
    response: str = "text"

    def run(
        self,
        plan: RunPlan,
        done: Mapping[str, Set[int]],
        on_chunk: Callable[[Chunk], bool],
        keep_going: Callable[[], bool] = lambda: True,
    ) -> RunEnvironment:
        """Hand over the chunks of the items that are not done."""
        self.calls += 1
        self.plans.append(plan)
        environment = RunEnvironment(versions={}, hardware={}, model=plan.model.name, kind="x")
        (task,) = plan.tasks
        lines = (Path(plan.include_paths[-1]) / f"{task}.jsonl").read_text().splitlines()
        rows = list(enumerate(map(json.loads, lines)))[: plan.limit]
        left = [row for row in rows if row[0] not in done.get(task, set())]
        count = len(rows) - len(left)
        for number, start in enumerate(range(0, len(left), plan.chunk_size), 1):
            self.before(number)
            part = left[start : start + plan.chunk_size]
            count += len(part)
            self.answered += [doc_id for doc_id, _ in part]
            scores = TaskScores(
                task=task,
                metric="exact_match",
                binary=True,
                scores=tuple(self._score(*row) for row in part),
            )
            chunk = Chunk(number=number, done=count, planned=len(rows), tasks=(scores,))
            if not on_chunk(chunk) or not keep_going():
                break
        return environment

    def _score(self, doc_id: int, row: dict[str, Any]) -> ItemScore:
        digest = hashlib.sha256(row["text"].encode()).hexdigest()
        return ItemScore(
            item=row["item_id"],
            doc_id=doc_id,
            prompt_hash=digest,
            target_hash=row["target"],
            metrics={"exact_match": self.score(row["text"])},
            response=self.response,
        )


def half(text: str) -> float:
    """Return the score of a model that has lost half of its answers."""
    return float(hashlib.sha256(text.encode()).digest()[0] % 2)


@dataclass
class Bench:
    """A store, a stand-in for lm-eval, and a worker whose time is set by the test."""

    store: Store
    place: Workplace
    runner: Runner
    stopping: threading.Event
    now: list[float]

    def work(self, name: str = "w") -> bool:
        """Let a worker claim a run and do it."""
        return ReplayWorker(self.place, name).work_once()

    def freeze(self, model: str = MODEL, found: tuple[Item, ...] | None = None) -> None:
        """Freeze items and run the baseline, with a model that is right."""
        score, self.runner.score = self.runner.score, lambda _: 1.0
        with self.store.write() as connection:
            chosen = (model, items() if found is None else found)
            assert freeze(connection, self.place.config, chosen, "first", self.now[0]) == "baseline"
        assert self.work()
        self.runner.score = score

    def enqueue(self, alarm: str = "alarm", **details: Any) -> str:
        """Insert a run of the model as drift does; return its id."""
        plan = replay_plan(self.place.config.replay, MODEL)
        assert plan is not None
        with self.store.write() as connection:
            baseline = baselines.find(connection, MODEL)
            digest = "" if baseline is None else baseline.set_digest
            request = run_request(
                plan, MODEL, digest, alarm, "drift", ReplayDetails(feature="f", **details)
            )
            assert queue.enqueue(connection, request, self.now[0])
        return request.id

    def run(self, identity: str) -> Run:
        """Return a run as stored."""
        with self.store.read() as connection:
            found = queue.find(connection, identity)
        assert found is not None
        return found

    def events(self) -> list[dict[str, Any]]:
        """Return the events in the outbox that were not sent."""
        with self.store.read() as connection:
            return [msgspec.json.decode(row.payload) for row in outbox.pending(connection, 1_000)]


@cache
def _empty_store() -> bytes:
    """Return the file of an empty store: its migrations run once for all tests."""
    with TemporaryDirectory() as folder:
        open_store(f"sqlite:///{folder}/store.db").close()
        return (Path(folder) / "store.db").read_bytes()


@contextmanager
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: Config | None = None
) -> Iterator[Bench]:
    """Yield a bench with an empty store."""
    (tmp_path / "store.db").write_bytes(_empty_store())
    runner, stopping, now = Runner(), threading.Event(), [NOW]
    monkeypatch.setattr(supervise, "run", runner.run)
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        counts = ReplayMetrics()
        place = Workplace(
            store=store,
            config=chosen or config(),
            metrics=Metrics(replay=counts),
            counts=counts,
            directory=tmp_path / "work",
            host="host",
            stop=lambda _: stopping.is_set(),
            clock=lambda: now[0],
        )
        yield Bench(store, place, runner, stopping, now)
