"""`plumbline db`: upgrade the schema of the store, verify its ledger, erase texts."""

from __future__ import annotations

import argparse
import time
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

SECONDS_A_DAY = 86_400


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(commands, "db", "upgrade or verify the store of runs and results")
    upgrade = add_command(
        group,
        "upgrade",
        _upgrade,
        "create the schema of the store, or upgrade it; several processes may run this at once",
        "plumbline db upgrade -c plumbline.yaml",
    )
    verify = add_command(
        group,
        "verify",
        _verify,
        "compute the hash chain of runs and decisions anew and compare all rows with it; exit"
        " status 1 if a row was changed",
        "plumbline db verify -c plumbline.yaml",
    )
    verify.add_argument(
        "--head",
        default="",
        metavar="HASH",
        help="head that an earlier verification printed, which must still be in the chain",
    )
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
    for parser in (upgrade, verify, erase):
        add_config(parser)
        add_json(parser)


def _upgrade(arguments: argparse.Namespace) -> int:
    config = load_config(arguments, secrets=False).store
    applied = store_module().upgrade(config.url, password(config))
    if arguments.json:
        return print_json({"applied": list(applied)})
    print(f"applied revision {', '.join(applied)}" if applied else "the schema is up to date")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    config = load_config(arguments, secrets=False).store
    module = store_module()
    from replay.store.queries.integrity import verify

    with module.open_store(config.url, password(config)) as store, store.read() as connection:
        status = verify(connection, arguments.head)
    if arguments.json:
        broken = None if status.broken is None else str(status.broken)
        print_json({"entries": status.entries, "head": status.head, "broken": broken})
    elif status.broken is None:
        print(f"{status.entries} entries, all intact; head {status.head}")
    else:
        print(f"broken: {status.broken}")
    return 0 if status.broken is None else 1


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


def password(config: StoreConfig) -> str | None:
    """Return the password of the store, if one is configured."""
    return None if config.password is None else config.password.get_secret_value()


def store_module() -> ModuleType:
    """Return `replay.store`. Raises UserError if its extra is not installed."""
    try:
        from replay import store
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"alembic", "psycopg", "sqlalchemy"}:
            raise
        raise UserError(
            "the store needs an extra that is not installed: pip install '.[store]' in a checkout"
            " of the repository"
        ) from None
    return store
