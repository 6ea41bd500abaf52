"""Checks whether a broker responds, for the readiness of the roles.

The loops of the roles cannot tell: a consumer without a broker returns no messages, like one whose
topics are quiet.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import client_settings
from monitor.kafka.topics import Topics
from monitor.roles.names import NOTIFY
from monitor.telemetry.health import Health

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 3.0
TIMEOUT_SECONDS = 3.0


class BrokerProbe:
    """Requests metadata in a thread of its own; a context manager.

    roles: those of the process; the request is about a topic that they may describe.
    """

    def __init__(self, config: KafkaConfig, roles: Sequence[str], health: Health) -> None:
        topics = Topics(config.prefix)
        self._topic = topics.events if set(roles) <= {NOTIFY} else topics.features
        self._config = config
        self._health = health
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker probe", daemon=True)

    def __enter__(self) -> BrokerProbe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(TIMEOUT_SECONDS + 1.0)

    def _run(self) -> None:
        # The clients of the roles log the connection errors.
        admin = AdminClient(client_settings(self._config, "probe") | {"log_level": 0})
        away = False
        while not self._stop.is_set():
            try:
                admin.list_topics(self._topic, timeout=TIMEOUT_SECONDS)
            except KafkaException as error:
                if self._health.broker_away() and not away:
                    away = True
                    log.warning("broker unreachable, not ready", error=error.args[0].str())
            else:
                self._health.broker_responded()
                if away:
                    away = False
                    log.info("broker reachable again")
            self._stop.wait(INTERVAL_SECONDS)
