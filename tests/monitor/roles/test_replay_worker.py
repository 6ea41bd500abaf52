"""Workers: a run ends once, with a named outcome, whatever kills or stops it on the way."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from monitor.errors import UserError
from monitor.roles import replay_lease, replay_worker
from monitor.roles.replay_baselines import freeze
from monitor.roles.replay_events import Result
from monitor.roles.replay_run import ReplayRun
from monitor.roles.replay_worker import MAX_ATTEMPTS, TRIES, ReplayWorker
from replay.results import RunError
from replay.runner import supervise
from replay.runner.plan import RunPlan
from replay.store import StoreFull, StoreUnavailable, baselines, queue, results, sets
from replay.store.costs import gpu
from replay.store.database.tables import GPU_SLOTS
from replay.store.queries.integrity import verify
from tests.monitor.roles.replay_runs import MODEL, Bench, bench, config, half, items


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench with the baseline of a model."""
    monkeypatch.setattr(replay_lease, "RETRY_SECONDS", 0.0)
    with bench(tmp_path, monkeypatch) as made:
        made.freeze()
        yield made


def test_a_baseline_has_no_event_and_is_accepted(place: Bench) -> None:
    """Its scores are those that runs are compared with."""
    with place.store.read() as connection:
        found = baselines.find(connection, MODEL)
        assert found is not None
        assert sum(len(task.scores) for task in results.load(connection, found.run)) == 60
    assert place.events() == []


def test_a_model_that_lost_answers_has_regressed(place: Bench) -> None:
    """The run stops before its end, and its event has the numbers."""
    run = place.enqueue()
    place.runner.score = half
    assert place.work()
    (event,) = place.events()
    assert (event["verdict"], event["run"], event["alarm"]) == ("regressed", run, "alarm")
    assert "stopped_early" in event["flags"]
    assert event["items"] < 60
    assert event["delta"] < -0.3
    assert place.run(run).verdict == "regressed"
    assert not (place.place.directory / "runs" / run).exists()


def test_the_same_answers_have_not_regressed(place: Bench) -> None:
    """All items agree with the baseline."""
    place.enqueue()
    place.work()
    (event,) = place.events()
    assert (event["verdict"], event["delta"]) == ("not_regressed", 0.0)


def test_a_limit_is_the_planned_end(place: Bench) -> None:
    """A run of fewer items than the baseline has is decided by the test at its own end."""
    limited = dataclasses.replace(place.place, config=config(limit=50, margin=0.1))
    Bench(place.store, limited, place.runner, place.stopping, place.now).enqueue()
    place.work()
    (event,) = place.events()
    assert (event["verdict"], event["items"]) == ("not_regressed", 50)
    assert "stopped_early" not in event["flags"]


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_killed_run_continues_after_its_last_chunk(place: Bench, chunk: int) -> None:
    """After SIGKILL before any chunk, another worker ends the run: one verdict, each item once."""
    run = place.enqueue()
    place.runner.answered.clear()

    def kill(number: int) -> None:
        if number == chunk:
            raise Killed

    place.runner.before = kill
    with pytest.raises(Killed):
        place.work("first")
    assert place.run(run).state == "running"
    place.runner.before = lambda _: None
    assert not place.work("second"), "the lease is still held"
    place.now[0] += replay_lease.LEASE_SECONDS + 1
    assert place.work("second")
    assert len(place.runner.answered) == len(set(place.runner.answered))
    assert [event["verdict"] for event in place.events()] == ["not_regressed"]
    with place.store.read() as connection:
        assert verify(connection).broken is None


def test_a_run_killed_after_its_last_look_needs_no_lm_eval(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scores in the store are enough for the verdict."""
    place.enqueue()
    place.runner.score = half
    with monkeypatch.context() as patch:
        patch.setattr(replay_worker, "_finish", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            place.work("first")
    place.now[0] += replay_lease.LEASE_SECONDS + 1
    calls = place.runner.calls
    assert place.work("second")
    assert place.runner.calls == calls
    assert [event["verdict"] for event in place.events()] == ["regressed"]


ERRORS = [
    (RunError("unauthorized", "401"), "unauthorized"),
    (RunError("deadline", "too long"), "deadline"),
    (RunError("invalid_responses", "null"), "invalid_responses"),
    (RunError("missing_task", "x"), "missing_task"),
    (RunError("broken_task", "x"), "broken_task"),
    (RunError("disk_full", "x"), "disk_full"),
    (RunError("gpu_absent", "x"), "gpu_absent"),
    (UserError("variable KEY is not set"), "failed"),
    (ZeroDivisionError("a defect"), "failed"),
]


@pytest.mark.parametrize(("error", "reason"), ERRORS)
def test_an_error_is_named_and_is_no_verdict(place: Bench, error: Exception, reason: str) -> None:
    """Each failure ends the run with its reason, and an event."""
    run = place.enqueue()

    def fail(_: int) -> None:
        raise error

    place.runner.before = fail
    assert place.work()
    (event,) = place.events()
    assert (event["verdict"], event["reason"], event["severity"]) == ("error", reason, "warning")
    assert place.run(run).reason == reason


def test_items_whose_texts_were_erased_are_an_error(place: Bench) -> None:
    """A set that cannot be run any more ends its runs, and is not tried again."""
    run = place.enqueue()
    with place.store.write() as connection:
        assert sets.erase_texts(connection, [items()[0].id]) == 1
    assert place.work()
    assert [event["reason"] for event in place.events()] == ["failed"]
    assert "were erased" in place.run(run).detail


def test_a_dead_endpoint_is_tried_again_and_then_an_error(place: Bench) -> None:
    """A reason that may pass takes three claims, a minute apart."""
    run = place.enqueue()

    def fail(_: int) -> None:
        raise RunError("endpoint_unavailable", "connection refused")

    place.runner.before = fail
    for attempt in range(1, TRIES):
        assert place.work()
        assert (place.run(run).state, place.run(run).attempts) == ("queued", attempt)
        assert not place.work(), "it is claimed again after a pause"
        place.now[0] += replay_worker.RETRY_SECONDS
    assert place.work()
    (event,) = place.events()
    assert event["reason"] == "endpoint_unavailable"


def test_a_run_that_kills_its_workers_ends(place: Bench) -> None:
    """After some claims it is an error, written by whoever looks at the queue next."""
    run = place.enqueue()

    def kill(_: int) -> None:
        raise Killed

    place.runner.before = kill
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Killed):
            place.work()
        place.now[0] += replay_lease.LEASE_SECONDS + 1
    assert not place.work()
    (event,) = place.events()
    assert (event["verdict"], event["reason"]) == ("error", "killed")
    assert place.run(run).state == "finished"


def test_without_a_baseline_there_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of a model without frozen items is an error."""
    with bench(tmp_path, monkeypatch) as made:
        made.enqueue()
        assert made.work()
        assert [event["reason"] for event in made.events()] == ["no_baseline"]


def test_a_run_that_waited_for_the_first_baseline_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drift fired before the baseline had ended: the run has a verdict all the same."""
    with bench(tmp_path, monkeypatch) as made:
        made.now[0] += 1
        run = made.enqueue()
        with made.store.write() as connection:
            plan = made.place.config
            freeze(connection, plan, (MODEL, items()), "first", made.now[0] - 1)
        assert made.work()
        assert made.work()
        assert made.run(run).verdict == "not_regressed"


def test_items_for_a_judge_end_a_run_before_it_costs_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a rubric the error says what to set, and lm-eval is not started."""
    with bench(tmp_path, monkeypatch) as made:
        judged = tuple(msgspec.structs.replace(item, scoring="judge") for item in items())
        with made.store.write() as connection:
            freeze(connection, made.place.config, (MODEL, judged), "first", made.now[0])
        assert made.work()
        (event,) = made.events()
        assert (event["verdict"], event["reason"]) == ("error", "broken_task")
        assert made.runner.calls == 0
        assert "set replay.rubric" in made.run(event["run"]).detail


# --- drifted items ----------------------------------------------------------------------------


def drifting(place: Bench, monkeypatch: pytest.MonkeyPatch, **replay: Any) -> None:
    """Let a window of drifted traffic have five items."""
    object.__setattr__(place.place, "config", config(**replay))
    object.__setattr__(place.place, "reader", lambda _: None)
    monkeypatch.setattr("monitor.roles.replay_run.drifted_items", lambda *_: items(65)[60:])


def test_drifted_items_have_scores_and_no_verdict(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model fails on all drifted items; the verdict is that of the frozen ones."""
    drifting(place, monkeypatch)
    place.runner.score = lambda text: float(int(text.split()[1]) < 60)
    place.enqueue(since=1.0, until=2.0)
    assert place.work()
    (event,) = place.events()
    assert event["verdict"] == "not_regressed"
    (absolute,) = event["absolute"]
    assert (absolute["task"], absolute["candidate"]) == ("drifted-exact_match", 0.0)
    assert [task["task"] for task in event["tasks"]] != [absolute["task"]]


def test_a_failure_on_drifted_items_leaves_the_verdict(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their scores are missing, and nothing else is."""
    drifting(place, monkeypatch)
    place.enqueue(since=1.0, until=2.0)
    run = place.runner.run

    def failing(plan: RunPlan, *others: Any) -> Any:
        if plan.tasks[0].startswith("drifted"):
            raise RunError("deadline", "silent")
        return run(plan, *others)

    monkeypatch.setattr(supervise, "run", failing)
    assert place.work()
    (event,) = place.events()
    assert (event["verdict"], event["absolute"]) == ("not_regressed", [])


@pytest.mark.parametrize(("seconds", "drifted"), [(2_000.0, True), (3_700.0, False)])
def test_the_deadline_is_that_of_the_whole_run(
    place: Bench, monkeypatch: pytest.MonkeyPatch, seconds: float, drifted: bool
) -> None:
    """Drifted items have what the frozen ones have left of an hour; the verdict is kept."""
    drifting(place, monkeypatch)
    passed = [0.0]
    clock = SimpleNamespace(monotonic=lambda: passed[0])
    monkeypatch.setattr("monitor.roles.replay_run.time", clock)
    place.enqueue(since=1.0, until=2.0)
    place.runner.plans.clear()
    place.runner.before = lambda number: passed.__setitem__(0, seconds)
    assert place.work()
    (event,) = place.events()
    assert (event["verdict"], bool(event["absolute"])) == ("not_regressed", drifted)
    left = [plan.deadline_s for plan in place.runner.plans]
    assert left == [3_600.0, 3_600.0 - seconds][: 1 + drifted]


def test_where_the_old_model_answers_drifted_items_are_compared(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old model is right on them: they are a task of the decision."""
    old = {"base_url": "http://127.0.0.1:9/v1", "name": "old"}
    drifting(place, monkeypatch, baseline_model=old)
    place.enqueue(since=1.0, until=2.0)
    assert place.work()
    (event,) = place.events()
    assert {task["task"].partition("-")[0] for task in event["tasks"]} == {"traffic", "drifted"}
    assert event["absolute"] == []
    assert place.runner.plans[-1].model.name == "old"


def test_a_cancelled_run_stops(place: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heartbeat of a running run learns that the drift has resolved."""
    monkeypatch.setattr(replay_lease, "BEAT_SECONDS", 0.0)
    run = place.enqueue()

    def resolve(number: int) -> None:
        if number == 2:
            with place.store.write() as connection:
                queue.cancel(connection, "alarm", place.now[0])

    place.runner.before = resolve
    assert place.work()
    (event,) = place.events()
    assert (event["verdict"], place.run(run).verdict) == ("cancelled", "cancelled")


def test_a_run_cancelled_after_its_last_heartbeat_has_no_verdict(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drift resolves between the last look and the verdict: nothing is rolled back."""
    run, decide = place.enqueue(), replay_worker._result

    def late(work: ReplayRun) -> Result:
        result = decide(work)
        with place.store.write() as connection:
            queue.cancel(connection, "alarm", place.now[0])
        return result

    monkeypatch.setattr(replay_worker, "_result", late)
    place.runner.score = half
    assert place.work()
    (event,) = place.events()
    assert (event["verdict"], place.run(run).verdict) == ("cancelled", "cancelled")


def test_a_stopped_worker_gives_its_run_back(place: Bench) -> None:
    """Another worker continues at once, without waiting for the lease."""
    run = place.enqueue()

    def stop(number: int) -> None:
        if number == 2:
            place.stopping.set()

    place.runner.before = stop
    assert place.work("first")
    assert (place.run(run).state, place.events()) == ("queued", [])
    place.stopping.clear()
    assert place.work("second")
    assert place.run(run).verdict == "not_regressed"


def test_a_lost_lease_writes_nothing(place: Bench) -> None:
    """A worker that was thought dead finds the run in other hands."""
    run = place.enqueue()

    def steal(number: int) -> None:
        if number == 2:
            place.now[0] += replay_lease.LEASE_SECONDS + 1
            with place.store.write() as connection:
                assert queue.claim(connection, "other", place.now[0], 60.0)

    place.runner.before = steal
    assert place.work("first")
    assert (place.run(run).worker, place.run(run).state, place.events()) == ("other", "running", [])


def test_a_store_that_is_down_is_waited_for(place: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk is written once the store is there again; a full disk is a named error."""
    append, failures = results.append, list[Exception]()
    failures += [StoreUnavailable("gone"), StoreUnavailable("gone")]

    def flaky(*arguments: object) -> int:
        if failures:
            raise failures.pop()
        return append(*arguments)  # type: ignore[arg-type]  # of any signature

    monkeypatch.setattr(results, "append", flaky)
    place.enqueue()
    assert place.work()
    failures += [StoreFull("no space")]
    place.enqueue("other")
    assert place.work()
    found = [(event["verdict"], event["reason"]) for event in place.events()]
    assert found == [("not_regressed", ""), ("error", "disk_full")]
    assert place.place.counts.store_errors == 3


def test_a_worker_survives_a_store_that_fails(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on after errors of the queue, and after a defect."""
    monkeypatch.setattr(replay_worker, "ERROR_SECONDS", 0.0)
    errors: list[Exception] = [StoreUnavailable("gone"), ValueError("a defect")]

    def work_once(self: ReplayWorker) -> bool:
        if errors:
            raise errors.pop()
        place.stopping.set()
        return False

    monkeypatch.setattr(ReplayWorker, "work_once", work_once)
    ReplayWorker(place.place, "w").run()
    assert errors == []


# --- GPUs -------------------------------------------------------------------------------------

WEIGHTS = {"kind": "hf", "name": "models/x", "gpus": 2}


def test_gpus_are_slots_and_their_time_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run holds its GPUs, its device is one of them, and the time of both is counted."""
    chosen = config(model=WEIGHTS, budget={"gpus_per_host": 2, "gpu_hours_per_day": 1})
    with bench(tmp_path, monkeypatch, chosen) as made:
        made.runner.before = lambda _: made.now.__setitem__(0, made.now[0] + 5)
        made.freeze()
        run = made.enqueue()
        assert made.work()
        (event,) = made.events()
        assert event["gpu_seconds"] == pytest.approx(2 * event["seconds"])
        assert made.run(run).gpu_seconds > 0
        assert made.runner.plans[-1].model.device == "cuda:0"
        with made.store.read() as connection:
            assert gpu.used(connection, made.now[0]) >= event["gpu_seconds"]


def test_a_run_takes_all_its_gpus_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that waits for the second of two holds none: two such runs would wait for ever."""
    chosen = config(model=WEIGHTS, budget={"gpus_per_host": 2})
    with bench(tmp_path, monkeypatch, chosen) as made:
        made.freeze()
        made.enqueue("other")
        held: list[int] = []

        def stop(seconds: float) -> bool:
            if seconds == replay_lease.SLOT_SECONDS:
                with made.store.read() as connection:
                    rows = connection.execute(GPU_SLOTS.select())
                    held.append(sum(row.lease_until > made.now[0] for row in rows))
            return bool(held)

        with made.store.write() as connection:
            other = queue.claim(connection, "other", made.now[0], 100.0)
            assert other is not None
            until = made.now[0] + 100.0
            assert gpu.acquire(connection, "host", 2, other.lease, until, made.now[0])
        made.enqueue()
        ReplayWorker(dataclasses.replace(made.place, stop=stop), "w").work_once()
        assert held == [1]


def test_gpu_hours_of_the_day_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the cap a run ends with `budget`, and further runs wait for the next day."""
    monkeypatch.setattr(replay_lease, "BEAT_SECONDS", 0.0)
    chosen = config(model=WEIGHTS, budget={"gpus_per_host": 2, "gpu_hours_per_day": 0.02})
    with bench(tmp_path, monkeypatch, chosen) as made:
        made.freeze()
        made.enqueue()
        made.runner.before = lambda _: made.now.__setitem__(0, made.now[0] + 30)
        assert made.work()
        assert [event["reason"] for event in made.events()] == ["budget"]
        made.enqueue("other")
        assert not made.work()
        made.now[0] += 86_400
        made.runner.before = lambda _: None
        assert made.work()


def test_a_host_with_too_few_gpus_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that needs two never starts on a host that may use one."""
    with bench(tmp_path, monkeypatch, config(model=WEIGHTS)) as made:
        made.enqueue()
        assert made.work()
        assert [event["reason"] for event in made.events()] == ["gpu_absent"]


def test_the_key_of_an_endpoint_is_nowhere(place: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan names the variable; no row of the store has its value."""
    monkeypatch.setenv("ENDPOINT_KEY", "sk-very-secret")
    model = {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "ENDPOINT_KEY"}
    object.__setattr__(place.place, "config", config(model=model))
    place.enqueue("with key")
    assert place.work()
    content = b"".join(
        path.read_bytes() for path in Path(place.place.directory.parent).glob("store.db*")
    )
    assert b"ENDPOINT_KEY" in content
    assert os.environ["ENDPOINT_KEY"].encode() not in content
