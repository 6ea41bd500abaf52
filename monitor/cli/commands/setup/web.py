"""`plumbline web`: bearer tokens, and erasure of texts without a browser."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import positive_number
from monitor.cli.commands.setup.db import password, schemas_module
from monitor.cli.options import (
    add_command,
    add_config,
    add_group,
    add_json,
    load_config,
    print_json,
)

if TYPE_CHECKING:
    from monitor.config.schema import Config
    from monitor.database.store import Store

ROLES = ("viewer", "annotator", "admin")
BY = "command line"
"""Who did it, in the audit trail."""


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(commands, "web", "tokens and texts of the web application")
    create = add_command(
        group,
        "create-token",
        _create,
        "create a bearer token and print it: the secret is stored nowhere",
        "plumbline web create-token --name ci --role viewer --days 30 -c plumbline.yaml",
    )
    create.add_argument("--name", required=True, help="name of the person or program")
    create.add_argument("--role", choices=ROLES, required=True, help="what the token may do")
    create.add_argument(
        "--days", type=positive_number, default=90.0, metavar="N", help="lifetime, at most 366"
    )
    tokens = add_command(
        group,
        "list-tokens",
        _list,
        "list the tokens without their secrets",
        "plumbline web list-tokens -c plumbline.yaml",
    )
    revoke = add_command(
        group,
        "revoke-token",
        _revoke,
        "revoke a token: it is refused from now on",
        "plumbline web revoke-token 0a1b2c3d4e5f6071 -c plumbline.yaml",
    )
    revoke.add_argument("token", metavar="ID", help="id of the token, as list-tokens prints it")
    erase = add_command(
        group,
        "erase",
        _erase,
        "erase the texts of a request or of a user from all review queues",
        "plumbline web erase --user-id 4711 -c plumbline.yaml",
    )
    which = erase.add_mutually_exclusive_group(required=True)
    which.add_argument("--request-id", metavar="ID", help="id of a request, as logged")
    which.add_argument("--user-id", metavar="ID", help="id of a user, as logged")
    for parser in (create, tokens, revoke, erase):
        add_config(parser)
        add_json(parser)


@contextmanager
def _opened(config: Config) -> Iterator[Store]:
    with schemas_module().open_database(config.store.url, password(config.store)) as store:
        yield store


def _create(arguments: argparse.Namespace) -> int:
    config = load_config(arguments, secrets=False)
    with _opened(config) as store, store.write() as connection:
        from monitor.web.sign_in import people, tokens
        from monitor.web.sign_in.roles import role_of

        role, at = role_of(arguments.role), time.time()
        person = people.add(connection, people.TOKEN, arguments.name, arguments.name, role, at)
        new = tokens.NewToken(person, arguments.name, role, arguments.days)
        token, secret = tokens.create(connection, new, at, by=BY)
    if arguments.json:
        return print_json({"id": token.id, "secret": secret, "expires_at": token.expires_at})
    print(f"token {token.id} of {person.name}, until {_day(token.expires_at)}:\n{secret}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    config = load_config(arguments, secrets=False)
    with _opened(config) as store, store.read() as connection:
        from monitor.web.sign_in import people, tokens

        names = {person.id: person.name for person in people.listed(connection)}
        found = tokens.listed(connection)
    if arguments.json:
        rows = [
            {
                "id": each.id,
                "name": names.get(each.person, ""),
                "scope": each.scope,
                "expires_at": each.expires_at,
                "revoked_at": each.revoked_at,
            }
            for each in found
        ]
        return print_json({"tokens": rows})
    for each in found:
        state = "revoked" if each.revoked_at is not None else f"until {_day(each.expires_at)}"
        print(f"{each.id}  {each.scope:<9}  {state:<16}  {names.get(each.person, '')}")
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    config = load_config(arguments, secrets=False)
    with _opened(config) as store, store.write() as connection:
        from monitor.web.sign_in import tokens

        token = tokens.revoke(connection, arguments.token, time.time(), by=BY)
    if arguments.json:
        return print_json({"id": token.id, "revoked_at": token.revoked_at})
    print(f"token {token.id} is revoked")
    return 0


def _erase(arguments: argparse.Namespace) -> int:
    config = load_config(arguments)  # the key of the hash of user ids is a secret
    with _opened(config) as store, store.write() as connection:
        from monitor.roles.web_setup import hash_of_users
        from monitor.web.review import erasure

        if arguments.request_id is not None:
            erased = erasure.erase_request(connection, arguments.request_id, time.time(), person=BY)
        else:
            hashed = hash_of_users(config)(arguments.user_id)
            erased = erasure.erase_user(connection, hashed, time.time(), person=BY)
    if arguments.json:
        return print_json({"erased": erased})
    print(f"texts of {erased} items erased")
    return 0


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
