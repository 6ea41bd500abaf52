"""Brokers, topics and an Alertmanager for the integration tests.

The tests run against a real broker. On a machine that cannot have one they fall back to the mock,
loudly; a test whose claim only the real one supports asks for ``real_broker`` and is then skipped,
or fails where CI is set, so that a claim never goes unchecked there.
"""

import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from grafana.alerts.rules import ALERTMANAGER, RULES
from tests.integration.broker import KafkaBroker, MockBroker
from tests.integration.kafka_jars import KafkaUnavailable, kafka_classpath
from tests.integration.prometheus import Alertmanager, Webhook, routed_to

WHY_MOCK = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaBroker | MockBroker]:
    """The broker shared by the tests of one worker; leave it running and use fresh topics."""
    try:
        kafka_classpath()
    except KafkaUnavailable as reason:
        _say_loudly(request.config, f"NO REAL KAFKA BROKER, using the mock: {reason}")
        yield MockBroker()
    else:
        with KafkaBroker(tmp_path_factory.mktemp("kafka")) as real:
            yield real


@pytest.fixture(scope="session")
def real_broker(request: pytest.FixtureRequest, broker: KafkaBroker | MockBroker) -> KafkaBroker:
    """The shared broker where it is real; otherwise skip the test, or fail it under CI."""
    if isinstance(broker, KafkaBroker):
        return broker
    reason = request.config.stash[WHY_MOCK]
    if os.environ.get("CI", "").lower() in {"1", "true", "yes", "on"}:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def topic(broker: KafkaBroker | MockBroker) -> Callable[..., str]:
    """Make a topic with a name of its own: ``topic(partitions=1, config=None)``."""

    def fresh(partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        broker.create_topic(name, partitions, config)
        return name

    return fresh


@pytest.fixture(scope="module")
def rules_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed rules; only an alarm need not last for minutes before it is told of."""
    text = RULES.read_text()
    group, rest = text.split("  - name: plumbline.models", 1)
    quick = re.sub(r"^(        for:) [1-9]\w+", r"\1 1s", group, flags=re.MULTILINE)
    file = tmp_path_factory.mktemp("rules") / RULES.name
    file.write_text(f"{quick}  - name: plumbline.models{rest}")
    return file


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    """Whoever is told."""
    with Webhook() as made:
        yield made


@pytest.fixture(scope="module")
def alertmanager(
    webhook: Webhook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alertmanager]:
    """The committed example, with seconds for minutes."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with Alertmanager(folder, routed_to(webhook, ALERTMANAGER)) as made:
        yield made


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Repeat at the end of the run that the mock stood in for the real broker."""
    reason = config.stash.get(WHY_MOCK, None)
    if reason is not None:
        terminalreporter.section("mock broker", red=True, bold=True)
        terminalreporter.write_line(reason, red=True)


def _say_loudly(config: pytest.Config, reason: str) -> None:
    """Say it now, past pytest's capture (workers of xdist write no summary), and keep it."""
    config.stash[WHY_MOCK] = reason
    capture = config.pluginmanager.getplugin("capturemanager")
    assert capture is not None, "pytest always registers its capture manager"
    with capture.global_and_fixture_disabled():
        print(f"\n{reason}", file=sys.stderr, flush=True)
