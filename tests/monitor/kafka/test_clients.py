"""The clients that are created to check their settings."""

from __future__ import annotations

import socket
import time

import pytest

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import check_client_settings


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_the_check_of_the_settings_does_not_connect(protocol: str) -> None:
    """Its group and its transactional id are in no table of rights: a broker would log denials."""
    with socket.create_server(("127.0.0.1", 0)) as broker:
        address = f"127.0.0.1:{broker.getsockname()[1]}"
        config = KafkaConfig.model_validate(
            {"bootstrap_servers": address, "group_protocol": protocol}
        )
        for _ in range(20):
            check_client_settings(config)
        time.sleep(0.1)
        broker.setblocking(False)
        with pytest.raises(BlockingIOError):
            broker.accept()
