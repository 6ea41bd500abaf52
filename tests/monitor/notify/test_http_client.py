"""One HTTP POST request: results, limits, and masking of secrets."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from pathlib import Path

import pytest

from monitor.notify import http_client
from monitor.notify.http_client import REASONS, RETRYABLE, Response, post
from monitor.notify.message import Request
from tests.monitor.notify.receiver import Receiver, Reply

CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies of this machine."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def request(url: str, **message: str) -> Request:
    """Return a request with a routing key in its body."""
    return Request.json(url, {"text": "x", "routing_key": "r0uting-key"} | message, "r0uting-key")


def send_to(reply: Reply, **other: float) -> Response:
    """Return the result of a request to a server that responds with `reply`."""
    with Receiver(lambda _: reply) as receiver:
        return post(request(receiver.url), **other)


@contextmanager
def tcp(reply: bytes) -> Iterator[int]:
    """Run a TCP server that sends some bytes and closes the connection; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, None),
        (202, None),
        (204, None),
        (301, "redirected"),
        (307, "redirected"),
        (400, "rejected"),
        (401, "rejected"),
        (403, "rejected"),
        (404, "rejected"),
        (408, "timeout"),
        (410, "rejected"),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_a_status_has_a_reason(status: int, reason: str | None) -> None:
    """Errors of the server are retryable; errors of the request are not."""
    body = b"" if status == 204 else b"said"
    response = send_to(Reply(status, body, {"Location": "http://127.0.0.1:1/"}))
    assert (response.status, response.reason, response.detail) == (status, reason, body.decode())
    assert response.retryable == (status in {408, 429, 500, 503})


def test_a_redirect_is_not_followed() -> None:
    """The request and its secrets are not sent to another host."""
    with Receiver() as other:
        headers = {"Location": other.url}
        assert send_to(Reply(307, b"", headers)).reason == "redirected"
        assert other.received == []


def test_a_request_arrives_unchanged() -> None:
    """The server receives the path, query, headers and body of the request."""
    with Receiver() as receiver:
        post(Request.json(receiver.url + "?a=b", {"ä": 1}, token="t"))
        (got,) = receiver.received
    assert got.path == "/services/T000/s3cret-path?a=b"
    assert got.json == {"ä": 1}
    assert got.headers["authorization"] == "Bearer t"
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    assert got.headers["user-agent"].startswith("plumbline/")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("999999", 3600),
        ("0", 0),
        ("-1", 0),
        ("1e9", 0),
        ("soon", 0),
        ("٣", 0),
        ("9" * 400, 0),
        (format_datetime(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC), usegmt=True), 0),
        (format_datetime(datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC), usegmt=True), 3600),
    ],
)
def test_retry_after_is_parsed(value: str, seconds: float) -> None:
    """It is a number of seconds or a date, at most an hour; an invalid value counts as 0."""
    assert http_client._retry_after_seconds(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    """A date is converted to the seconds until then."""
    date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    response = send_to(Reply(429, b"", {"Retry-After": format_datetime(date, usegmt=True)}))
    assert 80 < response.retry_after <= 90


def test_an_unreachable_server_is_reported() -> None:
    """A closed port and an unknown host are `unreachable`."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        response = post(request(f"http://127.0.0.1:{bound.getsockname()[1]}/"))
    assert (response.status, response.reason, response.detail) == (
        None,
        "unreachable",
        "Connection refused",
    )
    assert post(request("https://nowhere.invalid/x")).reason == "unreachable"


@pytest.mark.parametrize(
    "reply",
    [b"", b"hello\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 100, b"HTTP/1.1 200 OK\r\n" * 200],
)
def test_an_invalid_http_response_is_retryable(reply: bytes) -> None:
    """Bytes that are not HTTP are a failure without a status, not an exception."""
    with tcp(reply) as port:
        response = post(request(f"http://127.0.0.1:{port}/"))
    assert response.status is None
    assert response.retryable


@pytest.mark.parametrize("reply", [Reply(seconds=30.0), Reply(drip=0.05)], ids=["silent", "drip"])
def test_a_slow_response_times_out(reply: Reply) -> None:
    """The timeout applies to the whole response, also if single bytes arrive in time."""
    started = time.monotonic()
    response = send_to(reply, timeout=0.4)
    assert time.monotonic() - started < 2
    assert (response.status, response.reason) == (None, "timeout")
    assert response.detail == "no response within 0.4 s"


def test_a_long_body_is_truncated() -> None:
    """Only the start of the body is read, and 200 characters are kept."""
    response = send_to(Reply(400, b"y" * 50_000_000))
    assert response.status == 400
    assert len(response.detail) == 200


def test_an_incomplete_body_does_not_change_the_result() -> None:
    """The status decides; a retry of an accepted message would duplicate it."""
    with tcp(b"HTTP/1.1 202 X\r\nContent-Length: 1000\r\n\r\nbegin") as port:
        response = post(request(f"http://127.0.0.1:{port}/"))
    assert (response.status, response.reason) == (202, None)


def test_secrets_in_a_body_are_masked() -> None:
    """URLs and keys in an error are masked, and control characters are replaced."""
    body = b"no /services/T000/s3cret-path for r0uting-key\x1b[2J\nor https://x/s3cret-path?tok"
    response = send_to(Reply(404, body))
    assert "s3cret" not in response.detail
    assert "r0uting" not in response.detail
    assert (
        response.detail
        == "no /***/T000/*** for ***\N{REPLACEMENT CHARACTER}[2J or https://x/***?tok"
    )


def test_reasons_are_complete() -> None:
    """The series of the metrics are created from REASONS."""
    assert set(REASONS) >= RETRYABLE
    assert len(REASONS) == 7


# --- TLS and proxies --------------------------------------------------------------------------


@contextmanager
def https() -> Iterator[Receiver]:
    """Run a receiver with TLS."""
    receiver = Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server = receiver._server
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    with receiver:
        yield receiver


def test_certificates_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent to a server with an untrusted certificate or one of another name."""
    with https() as receiver:
        url = f"https://localhost:{receiver.port}/"
        assert post(request(url)).reason == "tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        assert post(request(url)).reason is None
        assert post(request(url.replace("localhost", "127.0.0.1"))).reason == "tls"
        assert len(receiver.received) == 1


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY receives CONNECT with its credentials, and NO_PROXY excludes hosts."""
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                heads.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{port}")
        response = post(request("https://hooks.example.com/s3cret-path"))
        thread.join(5)
    assert (response.status, response.reason) == (None, "unreachable")
    (head,) = heads
    assert head.startswith(b"CONNECT hooks.example.com:443 HTTP/1")
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in head
    assert b"s3cret" not in head
    monkeypatch.setenv("NO_PROXY", "nowhere.invalid")
    assert "Connection refused" not in post(request("https://nowhere.invalid/")).detail
