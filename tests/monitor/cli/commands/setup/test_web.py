"""`plumbline web`: tokens that sign in to a real application, and erasure of texts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.config.sections.process.web import WebConfig
from monitor.database.opening import open_store
from monitor.database.store import Store
from monitor.ingest.sampling.privacy import user_hash
from monitor.web.review import items
from monitor.web.review.model import Candidate, Message, NewItem, Texts
from monitor.web.store.tables import AUDIT
from tests.monitor.cli.command_line import one_line_error, run
from tests.monitor.web.clients import Site
from tests.monitor.web.reviews import SCHEMAS, add_items, add_queue

KEY = "a key of user ids"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Return the database that the commands use."""
    url = f"sqlite:///{tmp_path / 'web.db'}"
    monkeypatch.setenv("PLUMBLINE__STORE__URL", url)
    monkeypatch.setenv("PLUMBLINE__SAMPLING__USER_KEY", KEY)
    with open_store(url, None, SCHEMAS) as opened:
        yield opened


def output(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that succeeds, and return what it printed."""
    assert run("web", *words) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def created(capsys: pytest.CaptureFixture[str], role: str, *words: object) -> dict[str, Any]:
    """Create a token and return what the command prints as JSON."""
    text = output(capsys, "create-token", "--name", f"ci {role}", "--role", role, "--json", *words)
    found: dict[str, Any] = json.loads(text)
    return found


def status(store: Store, secret: str, path: str) -> int:
    """Return the status of a page for the owner of a token."""
    site = Site(store, time.time, WebConfig(sign_in="required"))  # type: ignore[arg-type]  # a clock
    found: int = site.client({"authorization": f"Bearer {secret}"}).get(path).status_code
    return found


def kinds(store: Store) -> list[str]:
    """Return the kinds of the rows of the audit trail, oldest first."""
    with store.read() as connection:
        return [entry.kind for entry in AUDIT.entries(connection)]


@pytest.mark.parametrize(
    ("role", "review", "admin"),
    [("viewer", 403, 403), ("annotator", 200, 403), ("admin", 200, 200)],
)
def test_a_token_has_its_role(
    store: Store, capsys: pytest.CaptureFixture[str], role: str, review: int, admin: int
) -> None:
    """A token signs in with the role it was created for, and no other."""
    secret = created(capsys, role)["secret"]
    found = [status(store, secret, path) for path in ("/", "/review", "/admin")]
    assert found == [200, review, admin]


def test_the_secret_is_printed_once(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """The secret is the last line of the output, and neither in the list nor in the database."""
    text = output(capsys, "create-token", "--name", "ci", "--role", "viewer", "--days", 30)
    secret = text.splitlines()[-1]
    assert secret.startswith("plb_")
    assert status(store, secret, "/") == 200
    listed = output(capsys, "list-tokens")
    assert secret not in listed
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86_400))
    assert listed.split()[1:] == ["viewer", "until", until, "ci"]
    with store.read() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        assert secret not in "\n".join(raw.iterdump())


def test_a_revoked_token_is_refused(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """After its revocation a token is refused; the others are not."""
    first, second = created(capsys, "viewer"), created(capsys, "admin")
    assert first["id"] in output(capsys, "revoke-token", first["id"])
    assert status(store, first["secret"], "/") == 401
    assert status(store, second["secret"], "/") == 200
    rows = {row["id"]: row for row in json.loads(output(capsys, "list-tokens", "--json"))["tokens"]}
    assert rows[first["id"]]["revoked_at"] is not None
    assert rows[second["id"]] == {
        "id": second["id"],
        "name": "ci admin",
        "scope": "admin",
        "expires_at": second["expires_at"],
        "revoked_at": None,
    }
    assert "revoked" in output(capsys, "list-tokens")
    assert kinds(store).count("token created") == 2
    assert kinds(store).count("token revoked") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("revoke-token", "0123"), "there is no such token"),
        (("create-token", "--name", "x", "--role", "viewer", "--days", "367"), "at most 366 days"),
        (("create-token", "--name", "x", "--role", "viewer", "--days", "0"), "--days"),
        (("create-token", "--name", "x", "--role", "root"), "--role"),
        (("erase",), "--request-id"),
        (("erase", "--request-id", "a", "--user-id", "b"), "--user-id"),
    ],
)
def test_wrong_arguments_are_one_line(
    store: Store, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    """Each mistake is named in one line, and nothing is changed."""
    assert message in one_line_error(capsys, "web", *words)
    assert not {"token created", "token revoked", "erased"} & set(kinds(store))


def added(store: Store) -> dict[str, str]:
    """Add items of two users; return their ids by request."""
    queue = add_queue(store)
    new = [
        NewItem(
            candidates=(Candidate(f"r-{n}", "llama", user_hash=user_hash(f"user-{n % 2}", KEY)),),
            texts=Texts((Message("user", f"question {n}"),), (f"answer {n}",)),
            time=1.0,
        )
        for n in range(4)
    ]
    return dict(zip((f"r-{n}" for n in range(4)), add_items(store, queue, new), strict=True))


@pytest.mark.parametrize(
    ("words", "erased"),
    [
        (("--request-id", "r-2"), {"r-2"}),
        (("--user-id", "user-1"), {"r-1", "r-3"}),
        (("--user-id", "unknown"), set()),
        (("--request-id", "unknown"), set()),
    ],
)
def test_texts_are_erased_by_request_or_user(
    store: Store, capsys: pytest.CaptureFixture[str], words: tuple[str, str], erased: set[str]
) -> None:
    """Texts of the request or of the user are gone, the others stay; the number is printed."""
    known = added(store)
    assert output(capsys, "erase", *words) == f"texts of {len(erased)} items erased\n"
    with store.read() as connection:
        gone = {name for name, each in known.items() if items.texts(connection, each) is None}
    assert gone == erased
    assert "erased" in kinds(store)
    assert json.loads(output(capsys, "erase", *words, "--json"))["erased"] in {0, len(erased)}
