"""Brokers, topics and an Alertmanager for the integration tests.

The tests run against a real broker. On a machine that cannot run one they use the mock and print
the reason. A test that needs the real one requests ``real_broker``: without it, the test is
skipped, or fails if CI is set.
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
    """The broker shared by the tests of one worker: do not stop it, and use new topics."""
    try:
        kafka_classpath()
    except KafkaUnavailable as reason:
        _print_now(request.config, f"NO REAL KAFKA BROKER, using the mock: {reason}")
        yield MockBroker()
    else:
        with KafkaBroker(tmp_path_factory.mktemp("kafka")) as real:
            yield real


@pytest.fixture(scope="session")
def real_broker(request: pytest.FixtureRequest, broker: KafkaBroker | MockBroker) -> KafkaBroker:
    """The shared broker if it is real; otherwise skip the test, or fail it if CI is set."""
    if isinstance(broker, KafkaBroker):
        return broker
    reason = request.config.stash[WHY_MOCK]
    if os.environ.get("CI", "").lower() in {"1", "true", "yes", "on"}:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def topic(broker: KafkaBroker | MockBroker) -> Callable[..., str]:
    """Create a topic with a unique name: ``topic(partitions=1, config=None)``."""

    def fresh(partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        broker.create_topic(name, partitions, config)
        return name

    return fresh


@pytest.fixture(scope="module")
def rules_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed rules, in which drift alerts fire after one second."""
    text = RULES.read_text()
    group, rest = text.split("  - name: plumbline.models", 1)
    quick = re.sub(r"^(        for:) [1-9]\w+", r"\1 1s", group, flags=re.MULTILINE)
    file = tmp_path_factory.mktemp("rules") / RULES.name
    file.write_text(f"{quick}  - name: plumbline.models{rest}")
    return file


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    """The receiver of all messages of Alertmanager."""
    with Webhook() as running:
        yield running


@pytest.fixture(scope="module")
def alertmanager(
    webhook: Webhook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alertmanager]:
    """The committed example, with seconds instead of minutes."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with Alertmanager(folder, routed_to(webhook, ALERTMANAGER)) as running:
        yield running


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Repeat at the end of the run that the mock was used instead of the real broker."""
    reason = config.stash.get(WHY_MOCK, None)
    if reason is not None:
        terminalreporter.section("mock broker", red=True, bold=True)
        terminalreporter.write_line(reason, red=True)


def _print_now(config: pytest.Config, reason: str) -> None:
    """Print the reason now, past pytest's capture (xdist workers write no summary), and keep it."""
    config.stash[WHY_MOCK] = reason
    capture = config.pluginmanager.getplugin("capturemanager")
    assert capture is not None, "pytest always registers its capture manager"
    with capture.global_and_fixture_disabled():
        print(f"\n{reason}", file=sys.stderr, flush=True)
