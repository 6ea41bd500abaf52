"""The numbers of ingest in a process of its own are those that its parent shows."""

from __future__ import annotations

import ast
import pickle
from dataclasses import fields
from pathlib import Path

from monitor.telemetry.counters.ingest_state import ADDED, OWN, SHARED, apply_state, read_state
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health

ROLES = Path(__file__).parents[4] / "monitor" / "roles"
WRITTEN_BY_METHOD = {
    "count_transaction": {
        "consumed",
        "rejected",
        "traffic",
        "records_ahead",
        "newest_event_time",
    }
}


def used_by(paths: list[Path]) -> set[str]:
    """Return the attributes of `self.metrics` and `self._metrics` that modules use."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Attribute)
                and node.value.attr in {"metrics", "_metrics"}
            ):
                found |= WRITTEN_BY_METHOD.get(node.attr, {node.attr})
    return found


def test_every_number_of_ingest_is_shown() -> None:
    """What the modules of ingest write is in one of the lists, and all in the lists exists."""
    modules = [p for p in ROLES.glob("ingest*.py") if p.stem != "ingest_process"]
    written = used_by([*modules, ROLES / "registry_wait.py"]) - {"lock"}
    assert written == {*OWN, *SHARED, *ADDED}
    assert {*OWN, *SHARED, *ADDED} <= {field.name for field in fields(Metrics)}


def test_no_other_role_writes_what_is_replaced() -> None:
    """The parent replaces these fields as a whole."""
    others = [p for p in ROLES.glob("*.py") if not p.stem.startswith(("ingest", "registry_wait"))]
    assert not used_by(others) & {*OWN}


def test_the_parent_shows_the_state_of_the_child() -> None:
    """Its own numbers replace those of the parent; shared ones are joined."""
    now = [100.0]
    child, parent = (Metrics(health=Health(clock=lambda: now[0])) for _ in range(2))
    for metrics in (child, parent):
        metrics.health.register("ingest")
    child.consumed["logs"] = 7
    child.decoding.skipped["probe"] = 2
    child.lag = {("logs", 0): 5, ("logs", 1): 6}
    child.transactions_aborted["ingest"] = 3
    parent.lag = {("features", 0): 1}
    parent.transactions_aborted["judge"] = 4
    parent.dead_letters_incomplete["stub"] = 1
    child.dead_letters_incomplete["stub"] = 2
    first = pickle.loads(pickle.dumps(read_state(child, "ingest")))
    apply_state(parent, "ingest", first, None)
    assert (parent.consumed["logs"], parent.decoding.skipped["probe"]) == (7, 2)
    assert parent.lag == {("logs", 0): 5, ("logs", 1): 6, ("features", 0): 1}
    assert parent.transactions_aborted.total() == 7
    assert parent.health.unready() == ["ingest"]
    assert parent.dead_letters_incomplete["stub"] == 3
    child.dead_letters_incomplete["stub"] = 4
    del child.lag["logs", 1]
    child.health.mark_ready("ingest")
    now[0] = 130.0
    apply_state(parent, "ingest", read_state(child, "ingest"), first)
    assert parent.lag == {("logs", 0): 5, ("features", 0): 1}
    assert parent.dead_letters_incomplete["stub"] == 5
    assert parent.health.unready() == []
    assert parent.health.ages()["ingest"] == 30.0


def test_a_state_is_a_copy() -> None:
    """Later counts of the child do not change a state that was read."""
    child = Metrics()
    child.consumed["logs"] = 1
    state = read_state(child, "ingest")
    child.consumed["logs"] += 1
    child.decoding.duplicates += 1
    assert state.own["consumed"] == {"logs": 1}
    assert state.own["decoding"].duplicates == 0
