"""`plumbline db`: upgrade the schemas of the database, verify its hash chains, erase texts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import positive_number
from monitor.cli.options import (
    add_command,
    add_config,
    add_group,
    add_json,
    load_config,
    print_json,
)
from monitor.errors import UserError

if TYPE_CHECKING:
    from monitor.config.sections.replay.store import StoreConfig
    from monitor.database.chain import ChainStatus

SECONDS_A_DAY = 86_400


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(commands, "db", "upgrade or verify the store of runs and results")
    upgrade = add_command(
        group,
        "upgrade",
        _upgrade,
        "create the tables of the store and of the web application, or upgrade them; several"
        " processes may run this at once",
        "plumbline db upgrade -c plumbline.yaml",
    )
    verify = add_command(
        group,
        "verify",
        _verify,
        "compute the hash chains of runs and of the web application anew and compare all rows with"
        " them; exit status 1 if a row was changed",
        "plumbline db verify -c plumbline.yaml",
    )
    verify.add_argument(
        "--head",
        default="",
        metavar="HASH",
        help="head that an earlier verification printed, which must still be in the chain of runs",
    )
    verify.add_argument(
        "--audit-head",
        default="",
        metavar="HASH",
        help="the same of the audit trail of the web application",
    )
    for parser in (upgrade, verify, *_add_erasure(group)):
        add_config(parser)
        add_json(parser)


def _add_erasure(group: Any) -> tuple[argparse.ArgumentParser, ...]:
    """Add the commands that erase texts; return their parsers."""
    erase = add_command(
        group,
        "erase-responses",
        _erase,
        "delete the texts of responses of old runs; scores and the hash chain stay",
        "plumbline db erase-responses --days 90 -c plumbline.yaml",
    )
    erase.add_argument(
        "--days",
        type=positive_number,
        required=True,
        metavar="N",
        help="of runs that finished more than N days ago",
    )
    items = add_command(
        group,
        "erase-items",
        _erase_items,
        "delete the texts of items of evaluation sets, and the answers to them, from the store",
        "plumbline db erase-items --request-id req-1 -c plumbline.yaml",
    )
    items.add_argument(
        "--request-id",
        action="append",
        required=True,
        metavar="ID",
        help="of the record that items were drawn from; repeatable",
    )
    return erase, items


def _upgrade(arguments: argparse.Namespace) -> int:
    config = load_config(arguments, secrets=False).store
    applied = schemas_module().upgrade(config.url, password(config))
    if arguments.json:
        return print_json({"applied": list(applied)})
    print(f"applied revision {', '.join(applied)}" if applied else "the schema is up to date")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    config = load_config(arguments, secrets=False).store
    module = schemas_module()
    from monitor.web.views import decisions
    from replay.store.queries.integrity import verify

    opened = module.open_database(config.url, password(config))
    with opened as store, store.read() as connection:
        runs = verify(connection, arguments.head)
        audit = decisions.verify(connection, arguments.audit_head)
    if arguments.json:
        print_json({**_fields(runs), "audit": _fields(audit)})
    for name, status in (("", runs), ("audit trail: ", audit)):
        if arguments.json:
            break
        if status.broken is None:
            print(f"{name}{status.entries} entries, all intact; head {status.head}")
        else:
            print(f"broken: {status.broken}")
    return 0 if runs.broken is None and audit.broken is None else 1


def _fields(status: ChainStatus) -> dict[str, Any]:
    broken = None if status.broken is None else str(status.broken)
    return {"entries": status.entries, "head": status.head, "broken": broken}


def _erase(arguments: argparse.Namespace) -> int:
    config = load_config(arguments, secrets=False).store
    module = store_module()
    from replay.store import results

    before = time.time() - arguments.days * SECONDS_A_DAY
    with module.open_store(config.url, password(config)) as store, store.write() as connection:
        erased = results.erase_responses(connection, before)
    if arguments.json:
        return print_json({"erased": erased})
    print(f"{erased} responses erased")
    return 0


def _erase_items(arguments: argparse.Namespace) -> int:
    config = load_config(arguments, secrets=False).store
    module = store_module()
    from replay.store import sets

    with module.open_store(config.url, password(config)) as store, store.write() as connection:
        found = sets.items_of_requests(connection, arguments.request_id)
        erased = sets.erase_texts(connection, found)
    if arguments.json:
        return print_json({"erased": erased})
    print(f"{erased} items erased")
    return 0


def password(config: StoreConfig) -> str | None:
    """Return the password of the store, if one is configured."""
    return None if config.password is None else config.password.get_secret_value()


def store_module() -> ModuleType:
    """Return `replay.store`. Raises UserError if its extra is not installed."""
    with _extra():
        from replay import store
    return store


def schemas_module() -> ModuleType:
    """Return `monitor.roles.schemas`. Raises UserError if the extra `store` is not installed."""
    with _extra():
        from monitor.roles import schemas
    return schemas


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"alembic", "psycopg", "sqlalchemy"}:
            raise
        raise UserError(
            "the store needs an extra that is not installed: pip install '.[store]' in a checkout"
            " of the repository"
        ) from None
