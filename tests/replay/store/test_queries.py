"""Runs are listed, compared, audited and exported."""

from __future__ import annotations

import json
import math

import msgspec
import pytest

from replay.results import TaskScores
from replay.store import Store, StoreError, sets
from replay.store.database.leases import Lease
from replay.store.queries import benchmarks, parity, runs
from replay.store.queries.export import export
from replay.store.queries.runs import Filter
from tests.replay.store.runs import append, claimed, enqueue, finish, request, scores
from tests.replay.store.test_sets import item_set


def done(store: Store, alarm: str, *tasks: TaskScores, at: float, **changes: object) -> str:
    """Do a run with these scores and return its id. changes: of the outcome, or of the request."""
    fields = {name: changes.pop(name) for name in list(changes) if hasattr(request(), name)}
    lease: Lease = claimed(store, alarm, at=at, **fields)
    append(store, lease, *tasks)
    return finish(store, lease, at=at + 1, **changes).id


def test_runs_are_listed_newest_first(store: Store) -> None:
    """By model, alarm, verdict, state and time; at most as many as asked for."""
    first = done(store, "a", scores(0, 1), at=1.0)
    second = done(store, "b", scores(0, 1), at=2.0, verdict="regressed", model="other")
    (third,) = enqueue(store, "c", at=3.0)
    cases = [
        (Filter(), [third, second, first]),
        (Filter(model="other"), [second]),
        (Filter(alarm="a"), [first]),
        (Filter(verdict="regressed"), [second]),
        (Filter(state="queued"), [third]),
        (Filter(since=2.0), [third, second]),
        (Filter(model="other", alarm="a"), []),
    ]
    with store.read() as connection:
        for wanted, expected in cases:
            found = runs.list_runs(connection, wanted)
            assert [run.id for run in found] == expected, wanted
        assert [run.id for run in runs.list_runs(connection, Filter(), 1)] == [third]


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    """An empty, unknown or ambiguous beginning is an error; wildcards are no wildcards."""
    ids = enqueue(store, *(f"alarm-{number}" for number in range(20)))
    ambiguous = next(i[0] for i in ids if sum(j[0] == i[0] for j in ids) > 1)
    with store.read() as connection:
        assert runs.resolve(connection, ids[0]).id == ids[0]
        assert runs.resolve(connection, ids[0][:12]).id == ids[0]
        for prefix, message in (("", "no run|several"), ("zz", "no run"), ("%", "no run")):
            with pytest.raises(StoreError, match=message):
                runs.resolve(connection, prefix)
        with pytest.raises(StoreError, match="several runs"):
            runs.resolve(connection, ambiguous)


def test_a_run_is_shown_with_all_that_is_stored(store: Store) -> None:
    """Scores, environment, decision and item set."""
    with store.write() as connection:
        sets.save(connection, item_set(), 0.0)
    run = done(store, "a", scores(0, 4), at=1.0, set_digest=item_set().digest, cost_usd=0.25)
    with store.read() as connection:
        detail = runs.show(connection, run)
        with pytest.raises(StoreError, match="not in the store"):
            runs.show(connection, "unknown")
    assert (detail.run.verdict, detail.run.cost_usd) == ("not_regressed", 0.25)
    assert [mean.mean for mean in detail.means] == [1.0]
    assert detail.environment == {"lm_eval": "0.4.13", "gpu": {"name": "none"}}
    assert detail.decision == {"verdict": "not_regressed", "delta": 0.01}
    assert detail.item_set is not None
    assert (detail.item_set.name, detail.item_set.items) == ("support", 3)


def test_a_comparison_pairs_equal_questions_only(store: Store) -> None:
    """Items of one run, failed answers, and items with another prompt or target are left out."""
    worse = msgspec.structs.replace(
        scores(0, 0), scores=scores(0, 6).scores + scores(6, 8, value=0.0).scores
    )
    changed = msgspec.structs.replace(worse.scores[0], prompt_hash="other")
    failed = msgspec.structs.replace(worse.scores[1], failed="empty", metrics={})
    worse = msgspec.structs.replace(worse, scores=(changed, failed, *worse.scores[2:]))
    first = done(store, "a", scores(0, 10), scores(0, 1, task="only here"), at=1.0)
    second = done(store, "b", worse, at=2.0, environment={"lm_eval": "0.4.14", "seed": 1})
    with store.read() as connection:
        found = runs.compare(connection, first, second)
    (task,) = found.tasks
    assert (task.n, task.unpaired, task.mismatched) == (6, 2, 1)
    assert task.first == 1.0
    assert task.second == pytest.approx(4 / 6)
    assert task.difference == pytest.approx(-2 / 6)
    assert task.changes == 2
    assert task.changed == {"item-6": (1.0, 0.0), "item-7": (1.0, 0.0)}
    assert found.environment == {
        "gpu.name": ("none", None),
        "lm_eval": ("0.4.13", "0.4.14"),
        "seed": (None, 1),
    }


def test_the_same_model_must_reproduce_its_score(store: Store) -> None:
    """Within the tolerance it does; beyond it, what has changed in the environment is named."""
    almost = msgspec.structs.replace(
        scores(0, 0), scores=scores(0, 399).scores + scores(399, 400, value=0.0).scores
    )
    first = done(store, "a", scores(0, 400), at=1.0)
    second = done(store, "b", almost, at=2.0)
    done(store, "other weights", scores(0, 4, value=0.0), at=2.5, model_digest="m2")
    done(store, "failed", scores(0, 4, value=0.0), at=2.6, verdict="error", reason="deadline")
    third = done(store, "c", scores(0, 4, value=0.0), at=3.0, environment={"lm_eval": "0.5"})
    with store.read() as connection:
        assert parity.audit(connection, first) is None
        same = parity.audit(connection, second)
        strict = parity.audit(connection, second, 0.001)
        other = parity.audit(connection, third)
    assert same is not None
    assert strict is not None
    assert other is not None
    assert (same.earlier.id, same.reproduced, same.changes) == (first, True, 1)
    assert same.tasks == {"traffic": pytest.approx(-1 / 400)}
    assert same.environment == {}
    assert not strict.reproduced
    assert (other.earlier.id, other.reproduced) == (second, False)
    assert other.environment == {"lm_eval": ("0.4.13", "0.5"), "gpu.name": ("none", None)}


def test_runs_without_common_items_reproduce_nothing(store: Store) -> None:
    """An audit that compared nothing does not pass."""
    done(store, "a", scores(0, 2), at=1.0)
    second = done(store, "b", scores(5, 7), at=2.0)
    with store.read() as connection:
        found = parity.audit(connection, second)
    assert found is not None
    assert (found.reproduced, found.tasks) == (False, {"traffic": None})


def test_internal_scores_stand_beside_public_ones(store: Store) -> None:
    """Of models that ran both, the newest scores; a task of the run's item set is internal."""
    wanted = item_set()
    with store.write() as connection:
        sets.save(connection, wanted, 0.0)
    own = scores(0, 3)
    own = msgspec.structs.replace(
        own,
        scores=tuple(
            msgspec.structs.replace(score, item=item.id)
            for score, item in zip(own.scores, wanted.items, strict=True)
        ),
    )
    both = {"set_digest": wanted.digest}
    done(store, "a", own, scores(0, 4, task="ifeval"), at=1.0, **both)
    worse = msgspec.structs.replace(scores(0, 4, value=0.0, task="mmlu"))
    done(store, "b", worse, at=2.0, set_digest="suite:core")
    done(store, "c", worse, at=3.0, set_digest="suite:core", model="public only")
    done(store, "d", worse, at=4.0, set_digest="x", verdict="error", reason="deadline")
    with store.read() as connection:
        (found,) = benchmarks.beside(connection)
        assert benchmarks.beside(connection, "public only") == ()
    assert (found.model, found.model_digest) == ("support-bot", "weights")
    assert [(each.name, each.version, each.mean.mean) for each in found.internal] == [
        ("support", 1, 1.0)
    ]
    assert [(each.task, each.mean) for each in found.public] == [("ifeval", 1.0), ("mmlu", 0.0)]


def test_an_export_is_json_lines(store: Store) -> None:
    """Run, tasks, items and ledger rows; texts only if they are asked for."""
    run = done(store, "a", scores(0, 2), at=1.0)
    with store.read() as connection:
        lines = [json.loads(line) for line in export(connection, [run])]
        whole = [json.loads(line) for line in export(connection, [run], texts=True)]
        with pytest.raises(StoreError):
            list(export(connection, ["unknown"]))
    kinds = ["run", "task", "item", "item", "ledger", "ledger", "ledger"]
    assert [line["type"] for line in lines] == kinds
    assert "response" not in lines[2]
    assert whole[2]["response"] == "answer 0"
    assert lines[0]["run"]["id"] == run
    assert not math.isnan(lines[0]["means"][0]["mean"])
