"""The rights that docs/security.md names are those that the roles need, and use: no less, no more.

A broker with Kafka's own authorizer knows a user for each role, and gives them what the document's
table says. Its audit log then tells which right was used, and which was missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, unlisted
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from monitor.demo.traffic import traffic
from tests.integration.broker import QUICK_START_JVM, KafkaBroker, free_ports
from tests.integration.harness import ROOT, Daemon, produce
from tests.monitor.notify.receiver import Receiver, Reply

pytestmark = pytest.mark.usefixtures("real_broker")

ROLES = ("ingest", "detect", "notify")
LOGS = "inference-logs"
AUDIT = re.compile(
    r"Principal = User:(\w+) is (Allowed|Denied) operation = (\w+) from host = \S+"
    r" on resource = (\w+):\w+:(\S+) for request"
)


class Right(NamedTuple):
    """A row of the document's table, one operation of it; `name` ends in `*` where prefixed."""

    role: str
    resource: str
    name: str
    operation: str

    def covers(self, role: str, operation: str, resource: str, name: str) -> bool:
        """Whether the right is the one that was asked for."""
        whole = self.name.removesuffix("*")
        fits = name.startswith(whole) if self.name.endswith("*") else name == whole
        return fits and (role, operation, resource) == (self.role, self.operation, self.resource)

    def binding(self) -> AclBinding:
        """The entry of the access control list."""
        kind = "PREFIXED" if self.name.endswith("*") else "LITERAL"
        return AclBinding(
            ResourceType[self.resource],
            self.name.removesuffix("*"),
            ResourcePatternType[kind],
            f"User:{self.role}",
            "*",
            AclOperation[self.operation],
            AclPermissionType.ALLOW,
        )


def documented(target: str) -> list[Right]:
    """The rights of the document's table, with the name of a target in place of TARGET."""
    text = (ROOT / "docs" / "security.md").read_text()
    row = r"^\| (\w+) \| (topic|group|transactional id) \| `(\S+)` \| ([\w, ]+) \|"
    return [
        Right(role, kind.replace(" ", "_").upper(), name.replace("TARGET", target), word.upper())
        for role, kind, name, operations in re.findall(row, text, re.MULTILINE)
        for word in operations.split(", ")
    ]


class GuardedBroker(KafkaBroker):
    """A broker with a second door, for users with a password and no more rights than given."""

    def __init__(self, directory: Path) -> None:
        """Describe it; the first door stays open for the test's own clients."""
        audit = "-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=debug"
        super().__init__(directory, jvm=(*QUICK_START_JVM, audit))
        self.guarded = f"127.0.0.1:{free_ports()[0]}"

    def _settings(self) -> dict[str, str]:
        settings = super()._settings()
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        users = " ".join(f'user_{role}="{password(role)}"' for role in ROLES)
        protocols = settings["listener.security.protocol.map"]
        return settings | {
            "listeners": f"{settings['listeners']},CLIENTS://{self.guarded}",
            "advertised.listeners": f"{settings['advertised.listeners']},CLIENTS://{self.guarded}",
            "listener.security.protocol.map": f"{protocols},CLIENTS:SASL_PLAINTEXT",
            "listener.name.clients.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.clients.plain.sasl.jaas.config": f"{login} {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def grant(self, rights: list[Right]) -> None:
        """Let the users do this."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        for done in admin.create_acls([right.binding() for right in rights]).values():
            done.result(10)

    def audit(self) -> Iterator[tuple[str, str, str, str, str]]:
        """(role, verdict, operation, resource, name) of each question to the authorizer."""
        for role, verdict, operation, resource, name in AUDIT.findall(self.log.read_text()):
            kind = "TRANSACTIONAL_ID" if resource == "TransactionalId" else resource.upper()
            if role in ROLES:
                yield role, verdict, operation, kind, name


def password(role: str) -> str:
    """What a role logs in with."""
    return f"{role}-password"


def client(role: str) -> Mapping[str, Any]:
    """The settings of a role's clients."""
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": role,
    }


def test_the_documented_rights_are_enough_and_none_is_idle(tmp_path: Path) -> None:
    """From a log to a message, restart included, nothing is denied, and every right is used."""
    lines = list(traffic(9_000, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0))
    prefix = "plumbline"
    with ExitStack() as stack:
        broker = stack.enter_context(GuardedBroker(tmp_path / "kafka"))
        program = stack.enter_context(Receiver(lambda _: Reply()))
        rights = documented("program")
        broker.grant(rights)
        broker.create_topic(LOGS)
        secret = tmp_path / "url"
        secret.write_text(program.url)
        target = {"program": {"kind": "webhook", "url": {"file": str(secret)}}}

        def daemon(role: str) -> Daemon:
            key = tmp_path / f"{role}.key"
            key.write_text(password(role))
            settings = {**client(role), "sasl.password": {"file": str(key)}}
            return Daemon(
                tmp_path,
                broker.guarded,
                prefix=prefix,
                logs=[LOGS],
                roles=role,
                kafka={"client": settings},
                state={"checkpoint_seconds": 0.5},
                notifications={"targets": target},
            )

        ingest = stack.enter_context(daemon("ingest"))
        ingest.wait_ready()  # the topics are there: the others need not make them
        notify, detect = (stack.enter_context(daemon(role)) for role in ("notify", "detect"))
        notify.wait_ready()
        detect.wait_ready()
        produce(broker.bootstrap, LOGS, [b"no record", *lines])
        detect.wait_metric("checkpoint_bytes_total", 1)
        notify.wait_metric("notifications_sent_total", 1)
        assert detect.stop() == 0
        detect = stack.enter_context(daemon("detect"))
        detect.wait_for("state restored")
        assert [each.stop() for each in (ingest, detect, notify)] == [0, 0, 0]
        asked = set(broker.audit())
    assert {each for each in asked if each[1] == "Denied"} == set()
    used = [what for what in asked if what[1] == "Allowed"]
    idle = [
        right for right in rights if not any(right.covers(role, *what) for role, _, *what in used)
    ]
    assert idle == []
