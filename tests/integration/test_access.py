"""Each role needs exactly the rights that docs/security.md lists.

A broker with Kafka's authorizer has a user for each role, with the rights of the document's table.
Its audit log shows which rights were used and which were denied.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, unlisted
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from monitor.cli.demo.traffic import traffic
from tests.integration.broker import QUICK_START_JVM, KafkaBroker, free_ports
from tests.integration.harness import JUDGES, QUICK, ROOT, RUN, TIMEOUT_S, Daemon, produce
from tests.integration.pages import call, compare, send_labels_now
from tests.long_form import long_only
from tests.monitor.notify.receiver import Receiver, Reply

pytestmark = pytest.mark.usefixtures("real_broker")

ROLES = ("ingest", "detect", "judge", "experiment", "notify", "replay", "join", "web")
LOGS = "inference-logs"
FEEDBACK = "inference-feedback"
EXPERIMENTS = {
    "exp": {
        "variants": {"control": 1, "treatment": 1},
        "unit": "request_id",
        "assignment": "hash",
        "goal": "latency_ms",
        "mde": 0.5,
    }
}
"""An experiment whose variants do not differ."""
CHECKS = {"checks": {"short": {"kind": "length", "max_chars": 10}}}
REPLAY = {
    "model": {"base_url": "http://127.0.0.1:9/v1"},
    "on": {"severity": "info"},
    "items": {"least": 30},
}
"""A model that does not answer: a run without a baseline ends with an event all the same."""
WEB = {
    "enabled": True,
    "port": 0,
    "queues": {"answers": {"rubric": "safety"}},
}
AUDIT = re.compile(
    r"Principal = User:(\w+) is (Allowed|Denied) operation = (\w+) from host = \S+"
    r" on resource = (\w+):\w+:(\S+) for request"
)


class Right(NamedTuple):
    """One operation in a row of the document's table; `name` ends in `*` if it is a prefix."""

    role: str
    resource: str
    name: str
    operation: str

    def covers(self, role: str, operation: str, resource: str, name: str) -> bool:
        """Return whether the right allows the operation."""
        whole = self.name.removesuffix("*")
        fits = name.startswith(whole) if self.name.endswith("*") else name == whole
        return fits and (role, operation, resource) == (self.role, self.operation, self.resource)

    def binding(self) -> AclBinding:
        """Return the entry of the access control list."""
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
    """Return the rights of the document's table, with the name of a target for TARGET."""
    text = (ROOT / "docs" / "security.md").read_text()
    row = r"^\| (\w+) \| (topic|group|transactional id) \| `(\S+)` \| ([\w, ]+) \|"
    return [
        Right(role, kind.replace(" ", "_").upper(), name.replace("TARGET", target), _upper(word))
        for role, kind, name, operations in re.findall(row, text, re.MULTILINE)
        for word in operations.split(", ")
    ]


def _upper(operation: str) -> str:
    """Return the name of an operation as the broker writes it: DescribeConfigs has two words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()


class GuardedBroker(KafkaBroker):
    """A broker with a second listener, for users with a password and limited rights."""

    def __init__(self, directory: Path) -> None:
        """Configure it; the first listener stays open for the clients of the test."""
        audit = "-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=debug"
        super().__init__(directory, jvm=(*QUICK_START_JVM, audit))

    def _pick_ports(self) -> tuple[int, int]:
        self.guarded = f"127.0.0.1:{free_ports()[0]}"
        return super()._pick_ports()

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
        """Give the users these rights."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        for done in admin.create_acls([right.binding() for right in rights]).values():
            done.result(30)

    def revoke(self, right: Right) -> None:
        """Take a right away."""
        each = right.binding()
        entry = AclBindingFilter(
            each.restype,
            each.name,
            each.resource_pattern_type,
            each.principal,
            each.host,
            each.operation,
            each.permission_type,
        )
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        for done in admin.delete_acls([entry]).values():
            done.result(30)

    def audit(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Return role, result, operation, resource and name of each authorization."""
        for role, verdict, operation, resource, name in AUDIT.findall(self.log.read_text()):
            kind = "TRANSACTIONAL_ID" if resource == "TransactionalId" else resource.upper()
            if role in ROLES:
                yield role, verdict, operation, kind, name


def password(role: str) -> str:
    """Return the password of a role."""
    return f"{role}-password"


def client(role: str) -> Mapping[str, Any]:
    """Return the settings of the clients of a role."""
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": role,
    }


def accept(broker: KafkaBroker, file: Path, *options: str) -> None:
    """Send a command as a user with all rights, and wait for its answer."""
    file.write_text(yaml.safe_dump({"kafka": {"bootstrap_servers": broker.bootstrap}, **QUICK}))
    words = ["reference", "accept", "chat-large", "-c", str(file), *options]
    subprocess.run([sys.executable, "-c", RUN, *words], cwd=ROOT, check=True, timeout=TIMEOUT_S)


def test_the_documented_rights_are_sufficient_and_all_used(tmp_path: Path) -> None:
    """From records to notifications and labels, with a restart, no right is denied and every one is
    used. Left out is that to events of judges, which are found in windows of five minutes.
    """
    lines = list(traffic(9_000, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0))
    prefix = "plumbline"
    with ExitStack() as stack:
        broker = stack.enter_context(GuardedBroker(tmp_path / "kafka"))
        program = stack.enter_context(Receiver(lambda _: Reply()))
        rights = documented("program")
        broker.grant(rights)
        broker.create_topic(LOGS)
        broker.create_topic(FEEDBACK)
        target = {"program": _webhook(tmp_path / "url", program.url)}
        replays = {"replay": REPLAY, "store": {"url": f"sqlite:///{tmp_path}/store.db"}}
        pages = f"sqlite:///{tmp_path}/pages.db"

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
                experiments=EXPERIMENTS,
                feedback={"join": {}, "settle": "1s"},
                **({"judges": JUDGES | CHECKS} if role in {"ingest", "judge"} else {}),
                **(replays if role == "replay" else {}),
                **({"web": WEB, "store": {"url": pages}} if role == "web" else {}),
            )

        ingest = stack.enter_context(daemon("ingest"))
        ingest.wait_ready()  # it has created the topics: the others may not
        others = [stack.enter_context(daemon(role)) for role in ROLES[1:]]
        for each in others:
            each.wait_ready()
        detect, judge, experiment, notify, replay, join, web = others
        produce(broker.bootstrap, LOGS, [b"no record"])
        for first in range(0, len(lines), 1_500):  # `accept` selects whole chunks: keep them small
            produce(broker.bootstrap, LOGS, lines[first : first + 1_500])
            ingest.wait_metric("records_consumed_total", min(first + 1_500, len(lines)))
        detect.wait_metric("checkpoint_bytes_total", 1)
        notify.wait_metric("notifications_sent_total", 1)
        detect.wait_metric("records_watched_total", len(lines))
        judge.wait_metric("judge_unscored_total", 1)  # nothing answers the calls
        experiment.wait_for("experiment verdict")
        _wait_for_outcome(replay, "own")  # its event was sent, and read
        accept(broker, tmp_path / "operator.yaml")
        _wait_for_outcome(replay, "baseline", "too_few_items")  # the answer to the command
        produce(broker.bootstrap, FEEDBACK, [b"no feedback", *map(_rated, lines[-5:])])
        join.wait_metric("feedback_values_total", 5)
        _review(web, pages)
        assert join.stop() == 0
        join = stack.enter_context(daemon("join"))
        join.wait_for("join restored")
        join.wait_ready()
        assert detect.stop() == 0
        detect = stack.enter_context(daemon("detect"))
        detect.wait_for("state restored")
        running = (ingest, detect, judge, experiment, notify, replay, join, web)
        assert [each.stop() for each in running] == [0] * 8
        asked = set(broker.audit())
    assert {each for each in asked if each[1] == "Denied"} == set()
    used = [what for what in asked if what[1] == "Allowed"]
    idle = [
        right for right in rights if not any(right.covers(role, *what) for role, _, *what in used)
    ]
    assert idle == [Right("judge", "TOPIC", "plumbline.events", "WRITE")]


def _webhook(file: Path, url: str) -> dict[str, Any]:
    """Return a target whose address is a secret in a file."""
    file.write_text(url)
    return {"kind": "webhook", "url": {"file": str(file)}}


def _rated(line: bytes) -> bytes:
    """Return feedback for a record."""
    record = json.loads(line)
    event = {"request_id": record["request_id"], "timestamp": record["timestamp"], "feedback": 1}
    return json.dumps(event).encode()


def _review(web: Daemon, url: str) -> None:
    """Read the pages of other roles, and send a label."""
    port = int(web.wait_for("web application started")["port"])
    web.wait(lambda: call(port, "GET", "/api/v1/alarms")[0] == 200, "the events")
    web.wait(lambda: call(port, "GET", "/api/v1/experiments")[0] == 200, "the experiments")
    compare(port)
    send_labels_now(url)
    web.wait_metric("review_labels_total", 1)


def _wait_for_outcome(replay: Daemon, *outcomes: str) -> None:
    """Wait until the role has read a message with one of these outcomes."""
    name = "replay_events_total"
    replay.wait(lambda: any(replay.metric(name, outcome=each) for each in outcomes), str(outcomes))


UNWRITABLE = (
    ("ingest", "plumbline.dlq"),
    ("ingest", "plumbline.samples"),
    ("ingest", "plumbline.features"),
    ("detect", "plumbline.state"),
    ("detect", "plumbline.events"),
)
"""Roles and topics that they write."""
SHORT_FORM = ("ingest", "plumbline.dlq"), ("detect", "plumbline.events")


@pytest.mark.parametrize(
    ("role", "name", "running"),
    [
        *((*each, True) for each in SHORT_FORM),
        *(
            pytest.param(*each, running, marks=long_only)
            for each in UNWRITABLE
            for running in (True, False)
            if not (running and each in SHORT_FORM)
        ),
    ],
)
def test_a_missing_right_to_write(role: str, name: str, running: bool, tmp_path: Path) -> None:
    """The topic is logged, the role does not end, and it goes on when the right is given. Without
    the right to write dead letters, records are read all the same.
    """
    lines = list(traffic(9_000, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0))
    with ExitStack() as stack:
        broker = stack.enter_context(GuardedBroker(tmp_path / "kafka"))
        rights = documented("none")
        broker.grant(rights)
        broker.create_topic(LOGS)
        (right,) = (r for r in rights if (r.role, r.name, r.operation) == (role, name, "WRITE"))
        first = stack.enter_context(_daemon("ingest", broker, tmp_path))
        first.wait_ready()  # it has created the topics
        if role == "detect":
            produce(broker.bootstrap, LOGS, lines)
            first.wait_metric("records_consumed_total", len(lines))
        first.stop()
        if not running:
            broker.revoke(right)
        one = stack.enter_context(_daemon(role, broker, tmp_path))
        one.wait_ready()
        if running:
            broker.revoke(right)
        if role == "ingest":
            produce(broker.bootstrap, LOGS, [b"no record", *lines])
        assert one.wait_for("the right to write a topic is missing")["topic"] == name
        if name.endswith("dlq"):
            one.wait_metric("records_consumed_total", len(lines) + 1)
            assert one.metric("dead_letters_incomplete_total", outcome="dropped") == 1
        if name.endswith("samples"):
            one.wait_metric("records_consumed_total", len(lines) + 1)
            assert one.metric("samples_dropped_total", reason="refused") == len(lines)
        broker.grant([right])
        if role == "ingest":
            one.wait_metric("records_consumed_total", len(lines) + 1)
        else:
            one.wait_metric("records_watched_total", len(lines))
            one.wait_metric("checkpoint_bytes_total", 1)
        assert one.said("role failed") == []
        assert one.stop() == 0


@pytest.mark.parametrize("role", [pytest.param("ingest", marks=long_only), "detect"])
def test_a_group_right_that_is_taken_away(role: str, tmp_path: Path) -> None:
    """The log names the group, the role does not end, and it goes on when the right is given."""
    lines = list(traffic(6_000, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0))
    with ExitStack() as stack:
        broker = stack.enter_context(GuardedBroker(tmp_path / "kafka"))
        rights = documented("none")
        broker.grant(rights)
        broker.create_topic(LOGS)
        group = f"plumbline-{role}"
        (right,) = (
            r for r in rights if (r.resource, r.name, r.operation) == ("GROUP", group, "READ")
        )
        first = stack.enter_context(_daemon("ingest", broker, tmp_path))
        first.wait_ready()  # it has created the topics
        one = first if role == "ingest" else stack.enter_context(_daemon(role, broker, tmp_path))
        one.wait_ready()
        broker.revoke(right)
        produce(broker.bootstrap, LOGS, lines)
        one.wait(lambda: f"group {group}: " in one.log_text(), "the name of the group")
        broker.grant([right])
        if role == "ingest":
            one.wait_metric("records_consumed_total", len(lines))
        else:
            one.wait_metric("records_watched_total", len(lines))
            one.wait_metric("checkpoint_bytes_total", 1)
        assert one.said("role failed") == []
        assert one.stop() == 0


def _daemon(role: str, broker: GuardedBroker, directory: Path) -> Daemon:
    key = directory / f"{role}.key"
    key.write_text(password(role))
    return Daemon(
        directory,
        broker.guarded,
        prefix="plumbline",
        logs=[LOGS],
        roles=role,
        kafka={"client": {**client(role), "sasl.password": {"file": str(key)}}},
        state={"checkpoint_seconds": 0.5},
        **({"judges": JUDGES, "sampling": {"rate": 1}} if role == "ingest" else {}),
    )


def test_ingest_goes_on_without_the_right_to_read_events(tmp_path: Path) -> None:
    """The missing right is logged once, and samples are written."""
    lines = list(traffic(2_000, change_at=2_000, seed=7, rate=50.0, start=1_760_000_000.0))
    with ExitStack() as stack:
        broker = stack.enter_context(GuardedBroker(tmp_path / "kafka"))
        lacking = ("ingest", "plumbline.events", "READ")
        broker.grant([r for r in documented("none") if (r.role, r.name, r.operation) != lacking])
        broker.create_topic(LOGS)
        ingest = stack.enter_context(_daemon("ingest", broker, tmp_path))
        ingest.wait_ready()
        produce(broker.bootstrap, LOGS, lines)
        found = ingest.wait_for("events not read, sampling without open alarms")
        assert found["topic"] == "plumbline.events"
        ingest.wait_metric("records_consumed_total", len(lines))
        assert ingest.metric("samples_written_total", kind="uniform") == len(lines)
        assert len(ingest.said("events not read, sampling without open alarms")) == 1
        assert ingest.stop() == 0


@pytest.mark.parametrize("operation", ["READ", pytest.param("WRITE", marks=long_only)])
def test_a_missing_right_on_commands(operation: str, tmp_path: Path) -> None:
    """Detect goes on without commands, or without answers to them, and with checkpoints."""
    lines = list(traffic(9_000, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0))
    with ExitStack() as stack:
        broker = stack.enter_context(GuardedBroker(tmp_path / "kafka"))
        name = "plumbline.commands"
        broker.grant([r for r in documented("none") if (r.name, r.operation) != (name, operation)])
        broker.create_topic(LOGS)
        key = tmp_path / "detect.key"
        key.write_text(password("detect"))
        settings = {**client("detect"), "sasl.password": {"file": str(key)}}
        common: dict[str, Any] = {"prefix": "plumbline", "logs": [LOGS]}
        ingest = stack.enter_context(Daemon(tmp_path, broker.bootstrap, **common, roles="ingest"))
        produce(broker.bootstrap, LOGS, lines)
        ingest.wait_metric("records_consumed_total", len(lines))
        detect = stack.enter_context(
            Daemon(
                tmp_path,
                broker.guarded,
                **common,
                roles="detect",
                kafka={"client": settings},
                state={"checkpoint_seconds": 0.5},
            )
        )
        detect.wait_metric("records_watched_total", len(lines))
        if operation == "READ":
            assert detect.wait_for("commands not read")["topic"] == name
        else:
            with pytest.raises(subprocess.CalledProcessError):
                accept(broker, tmp_path / "operator.yaml", "--timeout", "20")
            # once more for each checkpoint that the missing right has rolled back
            assert detect.metric("commands_total", outcome="applied") >= 1
            detect.wait_for("answers to commands dropped")
        size = detect.metric("checkpoint_bytes_total")
        produce(broker.bootstrap, LOGS, lines[:1_000])
        detect.wait_metric("checkpoint_bytes_total", size + 1)
        assert detect.said("role failed") == []
        assert detect.stop() == 0
