"""Tests of `plumbline db`, on SQLite and on PostgreSQL with a password."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from replay.sets.item import Provenance
from replay.sets.item_set import make_set
from replay.store import StoreError, open_store, results, sets
from tests.monitor.cli.command_line import one_line_error, read_json, run
from tests.replay.store.postgresql import PASSWORD, Postgresql
from tests.replay.store.runs import append, claimed, enqueue, finish, item, scores


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty directory, and clear the variables that configure Plumbline or libpq."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("PLUMBLINE__", "PG"))]:
        monkeypatch.delenv(name)


def test_upgrade_creates_the_schema_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The default is a file in the working directory."""
    assert run("db", "upgrade") == 0
    assert capsys.readouterr().out == "applied revision 0001, 0002, web0001\n"
    assert Path("plumbline.db").exists()
    assert run("db", "upgrade") == 0
    assert capsys.readouterr().out == "the schema is up to date\n"
    assert read_json(capsys, "db", "upgrade", "--json") == {"applied": []}


def test_postgresql_with_a_password_from_a_file(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgresql: Postgresql,
) -> None:
    """The password is used, and printed neither by config check nor by an error."""
    Path("plumbline.yaml").write_text(f"store: {{url: '{postgresql.create_database()}'}}\n")
    assert "no password supplied" in one_line_error(capsys, "db", "upgrade")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("PLUMBLINE__STORE__PASSWORD__FILE", str(tmp_path / "password"))
    assert "run: plumbline db upgrade" in one_line_error(capsys, "db", "verify")
    assert run("db", "upgrade") == 0
    assert run("db", "verify") == 0
    assert run("config", "check", "--json") == 0
    assert PASSWORD not in capsys.readouterr().out
    (tmp_path / "password").write_text("hunter2")
    found = one_line_error(capsys, "db", "verify")
    assert "password authentication failed" in found
    assert "hunter2" not in found


def test_verify_names_the_first_broken_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0 if all is intact, 1 otherwise; the head is printed to be noted."""
    with open_store("sqlite:///plumbline.db") as store:
        (run_id,) = enqueue(store, "a")
        found = read_json(capsys, "db", "verify", "--json")
        assert (found["entries"], found["broken"]) == (1, None)
        assert run("db", "verify", "--head", found["head"]) == 0
        assert f"1 entries, all intact; head {found['head']}" in capsys.readouterr().out
        with store.write() as connection:
            connection.execute(text("DROP TRIGGER keep_runs_update"))
            connection.execute(text("UPDATE runs SET model = 'x'"))
    assert run("db", "verify") == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"broken: runs {run_id}: model differ from the ledger"


def test_old_responses_are_erased(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of runs that finished long ago, which breaks nothing."""
    with open_store("sqlite:///plumbline.db") as store:
        lease = claimed(store)
        append(store, lease, scores(0, 3))
        finish(store, lease, at=1.0)
    assert "--days" in one_line_error(capsys, "db", "erase-responses", "--days", "0")
    assert read_json(capsys, "db", "erase-responses", "--days", "90", "--json") == {"erased": 3}
    assert run("db", "verify") == 0


def test_what_came_from_a_request_is_erased(capsys: pytest.CaptureFixture[str]) -> None:
    """The texts of its items and the answers to them, which breaks no chain."""
    other = item("other", provenance=Provenance(origin="sample", request_id="r2"))
    wanted = make_set("support", 1, (item(), other), 0.0)
    with open_store("sqlite:///plumbline.db") as store:
        lease = claimed(store)
        answers = scores(0, 2)
        named = tuple(
            msgspec.structs.replace(score, item=each.id)
            for score, each in zip(answers.scores, (item(), other), strict=True)
        )
        append(store, lease, msgspec.structs.replace(answers, scores=named))
        finish(store, lease)
        with store.write() as connection:
            sets.save(connection, wanted, 1.0)
        found = read_json(capsys, "db", "erase-items", "--request-id", "r1", "--json")
        assert found == {"erased": 1}
        with store.read() as connection:
            (task,) = results.load(connection, lease.run)
            assert [score.response for score in task.scores] == ["", "answer 1"]
            with pytest.raises(StoreError, match="texts of 1 of its items were erased"):
                sets.load(connection, wanted.digest)
    assert run("db", "erase-items", "--request-id", "unknown") == 0
    assert run("db", "verify") == 0


def test_without_the_extra_the_error_names_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain install has no SQLAlchemy."""
    forgotten = (["replay", "store"], ["monitor", "database"], ["monitor", "roles"])
    for name in [name for name in sys.modules if name.split(".")[:2] in forgotten]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.delattr("replay.store", raising=False)
    monkeypatch.delattr("monitor.database", raising=False)
    monkeypatch.delattr("monitor.roles", raising=False)
    assert "pip install '.[store]'" in one_line_error(capsys, "db", "upgrade")
