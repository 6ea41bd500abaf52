"""OpenFeature's remote evaluation protocol over HTTP, and requests that are refused."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.experiments.assignment.lookup import Assignments
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.exporter import registry
from monitor.telemetry.health import Health
from monitor.telemetry.http import ofrep, server
from monitor.telemetry.http.api import Api
from monitor.telemetry.http.ofrep import FLAGS, MAX_BODY_BYTES
from monitor.telemetry.http.server import WebServer
from tests.monitor.telemetry.http.test_assignments import API, CONFIG, NAME, expected

SOURCE = Assignments({NAME: CONFIG})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Serve the API; return its port."""
    metrics = Metrics()
    with WebServer("127.0.0.1", 0, registry(metrics), Health(lambda: 0.0), API) as web:
        yield web.port


def post(port: int, body: bytes, flag: str = NAME, **headers: str) -> tuple[int, Any]:
    """Return status and body, decoded if it is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", FLAGS + quote(flag, safe=""), body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    is_json = response.headers.get("Content-Type") == "application/json"
    return response.status, json.loads(content) if is_json else content


def request(key: Any) -> bytes:
    """Return the request of a client whose context has further attributes."""
    return json.dumps({"context": {"targetingKey": key, "plan": {"name": "pro"}}}).encode()


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_a_flag_has_the_variant_of_the_unit(unit: str) -> None:
    """The value is the variant; without one there is no value, so that the client has its own."""
    status, answer = ofrep.evaluate(SOURCE, NAME, request(unit))
    variant, reason = expected(unit)
    assert status == 200
    assert (answer["key"], answer["variant"]) == (NAME, variant)
    assert answer["metadata"] == {"assignment": reason}
    assert answer.get("value") == variant
    assert ("value" in answer) == (variant is not None)


def test_a_flag_is_evaluated_over_http(port: int) -> None:
    """The answer has the fields of the protocol."""
    assert post(port, request("tester")) == (
        200,
        {
            "key": NAME,
            "reason": "TARGETING_MATCH",
            "variant": "größer",
            "metadata": {"assignment": "override"},
            "value": "größer",
        },
    )


@pytest.mark.parametrize(
    ("body", "flag", "status", "code"),
    [
        (b"", NAME, 400, "PARSE_ERROR"),
        (b"[", NAME, 400, "PARSE_ERROR"),
        (b"\xff\xfe", NAME, 400, "PARSE_ERROR"),
        (b'{"context": 7}', NAME, 400, "PARSE_ERROR"),
        (b'{"context": {"targetingKey": 7}}', NAME, 400, "PARSE_ERROR"),
        (b"[" * 16_000, NAME, 400, "PARSE_ERROR"),
        (b"{}", NAME, 400, "TARGETING_KEY_MISSING"),
        (b'{"context": {"user": "u"}}', NAME, 400, "TARGETING_KEY_MISSING"),
        (request(""), NAME, 400, "TARGETING_KEY_MISSING"),
        (request("x" * 1_001), NAME, 400, "INVALID_CONTEXT"),
        (request("u"), "other", 404, "FLAG_NOT_FOUND"),
        (request("u"), "../../metrics", 404, "FLAG_NOT_FOUND"),
        (request("u"), "x" * 3_000, 404, "FLAG_NOT_FOUND"),
    ],
    ids=range(13),
)
def test_faulty_requests_have_an_error_code(
    port: int, body: bytes, flag: str, status: int, code: str
) -> None:
    """A client learns what is wrong, in the terms of the protocol."""
    found, answer = post(port, body, flag)
    assert found == status
    assert (answer["key"], answer["errorCode"]) == (flag, code)
    assert answer["errorDetails"]


def test_a_body_is_bounded(port: int) -> None:
    """A size that is too large, or unknown, is refused before the body is read."""
    assert post(port, b" " * (MAX_BODY_BYTES - 2) + b"{}")[0] == 400
    for length, status in (
        (str(MAX_BODY_BYTES + 1), 413),
        ("9" * 5_000, 413),
        ("-1", 411),
        ("1e3", 411),
        ("²", 411),
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            head = f"POST {FLAGS}{NAME} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"
            client.sendall(head.encode("latin-1"))
            assert f" {status} " in client.recv(64).decode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(
            f"POST {FLAGS}{NAME} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        assert " 411 " in client.recv(64).decode()


def _drip(client: socket.socket) -> None:
    """Send single bytes until the connection ends."""
    while True:
        client.sendall(b"x")
        time.sleep(0.05)


def test_a_slow_or_broken_body_ends_the_request(
    port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client that sends a byte now and then does not keep its thread; nothing is logged."""
    monkeypatch.setattr(server, "BODY_SECONDS", 0.3)
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"POST {FLAGS}{NAME} HTTP/1.1\r\nContent-Length: 9999\r\n\r\n".encode())
        with pytest.raises(ConnectionError):
            _drip(client)
    assert time.monotonic() - begun < 8
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"POST {FLAGS}{NAME} HTTP/1.1\r\nContent-Length: 10\r\n\r\n{{".encode())
        client.shutdown(socket.SHUT_WR)
        assert client.recv(64) == b""
    assert post(port, request("tester"))[0] == 200
    assert capsys.readouterr() == ("", "")


def test_without_experiments_there_are_no_flags() -> None:
    """The page does not exist; nothing else is posted."""
    api = Api(lambda: pytest.fail("not read"), Metrics())
    assert api.evaluation(FLAGS + NAME, request("u")) is None
    assert API.evaluation("/api/v1/status", request("u")) is None
