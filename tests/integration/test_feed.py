"""`plumbline feed` puts messages on a topic byte for byte, and says what it could not send."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.broker import KafkaBroker
from tests.integration.harness import ROOT, RUN, TIMEOUT_S, headers, read_all, until
from tests.monitor.ingest.files.protobuf_fields import field_bytes

MakeTopic = Callable[..., str]
RECORD = '{"request_id": "r%d", "timestamp": 1.76e9, "model": "m"}'
SPAN = field_bytes(1, field_bytes(2, b"\n\x10\x00\r\n"))
"""A binary message with line breaks at both ends."""

pytestmark = pytest.mark.usefixtures("real_broker")


@contextmanager
def start(broker: KafkaBroker, folder: Path, *words: object) -> Iterator[subprocess.Popen[str]]:
    """Run feed against a broker; end it if the test has not."""
    config = folder / "plumbline.yaml"
    config.write_text(f"kafka: {{bootstrap_servers: '{broker.bootstrap}'}}\n")
    command = [sys.executable, "-c", RUN, "feed", *map(str, words), "-c", str(config)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def feed(broker: KafkaBroker, folder: Path, *words: object) -> tuple[int, str, str]:
    """Run feed to its end; return exit status, output and errors."""
    with start(broker, folder, *words) as process:
        output, errors = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, output, errors


def test_messages_are_sent_as_they_are(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Lines lose only their ends, binary files nothing; blank lines are no messages."""
    name = topic()
    (tmp_path / "lines").write_text(f"{RECORD % 1}\r\n\n{RECORD % 2}")
    (tmp_path / "span").write_bytes(SPAN)
    status, output, _ = feed(
        broker, tmp_path, tmp_path / "lines", tmp_path / "span", "--topic", name, "--json"
    )
    assert status == 0
    found = [message.value() for message in read_all(broker.bootstrap, name)]
    assert found == [(RECORD % 1).encode(), (RECORD % 2).encode(), SPAN]
    result = json.loads(output)
    assert (result["sent"], result["bytes"]) == (3, sum(len(value or b"") for value in found))


def test_envelopes_have_keys_and_headers(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """With --envelope, keys, headers and binary values are those of the envelopes."""
    name = topic()
    envelopes: list[dict[str, Any]] = [
        {"key": "k", "headers": {"Ce_Id": "1", "b": {"base64": "/w=="}}, "value": "text\n"},
        {"value": {"base64": base64.b64encode(SPAN).decode()}},
    ]
    (tmp_path / "log").write_text("\n".join(map(json.dumps, envelopes)))
    status, output, _ = feed(broker, tmp_path, tmp_path / "log", "--topic", name, "--envelope")
    assert (status, output.startswith("2 messages (")) == (0, True)
    first, second = read_all(broker.bootstrap, name)
    assert (first.key(), first.value()) == (b"k", b"text\n")
    assert headers(first) == [("Ce_Id", b"1"), ("b", b"\xff")]
    assert (second.key(), second.value(), headers(second)) == (None, SPAN, [])


def test_what_cannot_be_sent_is_an_error(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """An invalid envelope and a message that the topic refuses end the command with an error."""
    name = topic(config={"max.message.bytes": "1000"})
    (tmp_path / "log").write_text('{"value": "a"}\n{"key": "b"}\n')
    status, _, errors = feed(broker, tmp_path, tmp_path / "log", "--topic", name, "--envelope")
    assert status == 2
    assert "log line 2: no envelope" in errors.splitlines()[-1]

    digits = "".join(str(i * 7919 % 100_003) for i in range(2_000))  # compression does not help
    (tmp_path / "large").write_text(digits)
    status, _, errors = feed(broker, tmp_path, tmp_path / "large", "--topic", name)
    assert status == 2
    assert f"topic {name}" in errors.splitlines()[-1]
    assert "0 messages were sent" in errors.splitlines()[-1]


def test_rate_and_interruption(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """--loop repeats the file at the rate until it is interrupted, and reports what was sent."""
    name = topic()
    (tmp_path / "log").write_text("\n".join(RECORD % i for i in range(5)))
    words = tmp_path / "log", "--topic", name, "--loop", "--rate", "50", "--json"
    with start(broker, tmp_path, *words) as process:
        started = time.monotonic()
        until(lambda: len(read_all(broker.bootstrap, name)) > 10, "a repetition of the file")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=TIMEOUT_S)
        seconds = time.monotonic() - started
    assert process.returncode == 130, errors
    sent = json.loads(output)["sent"]
    assert 10 < sent <= 50 * seconds + 1
    values = [message.value() for message in read_all(broker.bootstrap, name)]
    assert len(values) >= sent
    assert values[:10] == [(RECORD % (i % 5)).encode() for i in range(10)]
