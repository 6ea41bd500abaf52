"""One HTTP POST: what its answer means, and that nothing it meets takes long or tells a secret."""

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

from monitor.notify import post as module
from monitor.notify.notice import Request
from monitor.notify.post import PASSING, REASONS, Answer, post
from tests.monitor.notify.receiver import Receiver, Reply

CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies of this machine are no part of a test."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def request(url: str, **message: str) -> Request:
    """A request with a routing key in its body."""
    return Request.json(url, {"text": "x", "routing_key": "r0uting-key"} | message, "r0uting-key")


def answered(reply: Reply, **other: float) -> Answer:
    """What comes of a request that is answered so."""
    with Receiver(lambda _: reply) as receiver:
        return post(request(receiver.url), **other)


@contextmanager
def tcp(reply: bytes) -> Iterator[int]:
    """The port of a server that is no web server: it sends some bytes and hangs up."""
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
def test_a_status_is_judged(status: int, reason: str | None) -> None:
    """What is the target's mood today is tried again, what it says of us is not."""
    body = b"" if status == 204 else b"said"
    answer = answered(Reply(status, body, {"Location": "http://127.0.0.1:1/"}))
    assert (answer.status, answer.reason, answer.detail) == (status, reason, body.decode())
    assert answer.passing == (status in {408, 429, 500, 503})


def test_a_redirect_is_not_followed() -> None:
    """A secret goes to the host that it was meant for."""
    with Receiver() as other:
        there = {"Location": other.url}
        assert answered(Reply(307, b"", there)).reason == "redirected"
        assert other.received == []


def test_what_is_sent_arrives() -> None:
    """Path and query, headers and body as they were given."""
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
def test_retry_after(value: str, seconds: float) -> None:
    """Seconds or a date, an hour at most; nonsense is no wish."""
    assert module._seconds(value) == seconds


def test_retry_after_as_a_date() -> None:
    """A date is as many seconds from now."""
    there = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    answer = answered(Reply(429, b"", {"Retry-After": format_datetime(there, usegmt=True)}))
    assert 80 < answer.retry_after <= 90


def test_nobody_there() -> None:
    """A port that nobody listens on, and a host that nobody knows."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        answer = post(request(f"http://127.0.0.1:{bound.getsockname()[1]}/"))
    assert (answer.status, answer.reason, answer.detail) == (
        None,
        "unreachable",
        "Connection refused",
    )
    assert post(request("https://nowhere.invalid/x")).reason == "unreachable"


@pytest.mark.parametrize(
    "reply",
    [b"", b"hello\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 100, b"HTTP/1.1 200 OK\r\n" * 200],
)
def test_no_web_server(reply: bytes) -> None:
    """Bytes that are no HTTP are a failure that may pass, and no exception."""
    with tcp(reply) as port:
        answer = post(request(f"http://127.0.0.1:{port}/"))
    assert answer.status is None
    assert answer.passing


@pytest.mark.parametrize("reply", [Reply(seconds=30.0), Reply(drip=0.05)], ids=["silent", "drip"])
def test_a_slow_target_is_hung_up_on(reply: Reply) -> None:
    """Whether it says nothing or a byte now and then, the whole takes no longer than it may."""
    started = time.monotonic()
    answer = answered(reply, seconds=0.4)
    assert time.monotonic() - started < 2
    assert (answer.status, answer.reason) == (None, "timeout")
    assert answer.detail == "no answer within 0.4 s"


def test_an_endless_answer_is_not_read() -> None:
    """The status counts; of the body no more than its beginning is read, and less is shown."""
    answer = answered(Reply(400, b"y" * 50_000_000))
    assert answer.status == 400
    assert len(answer.detail) == 200


def test_a_body_that_breaks_off_changes_nothing() -> None:
    """What was taken was taken: sending it again would say it twice."""
    with tcp(b"HTTP/1.1 202 X\r\nContent-Length: 1000\r\n\r\nbegin") as port:
        answer = post(request(f"http://127.0.0.1:{port}/"))
    assert (answer.status, answer.reason) == (202, None)


def test_an_answer_that_repeats_secrets_is_masked() -> None:
    """Addresses and keys that come back in an error are not passed on, nor is what steers."""
    body = b"no /services/T000/s3cret-path for r0uting-key\x1b[2J\nor https://x/s3cret-path?tok"
    answer = answered(Reply(404, body))
    assert "s3cret" not in answer.detail
    assert "r0uting" not in answer.detail
    assert (
        answer.detail == "no /***/T000/*** for ***\N{REPLACEMENT CHARACTER}[2J or https://x/***?tok"
    )


def test_every_reason_is_one_of_the_metrics() -> None:
    """Label sets are made at the start from these."""
    assert set(REASONS) >= PASSING
    assert len(REASONS) == 7


# --- TLS and proxies --------------------------------------------------------------------------


@contextmanager
def https() -> Iterator[Receiver]:
    """A receiver that speaks TLS."""
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
    """A certificate that nobody vouches for, or of another name, gets nothing."""
    with https() as receiver:
        url = f"https://localhost:{receiver.port}/"
        assert post(request(url)).reason == "tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        assert post(request(url)).reason is None
        assert post(request(url.replace("localhost", "127.0.0.1"))).reason == "tls"
        assert len(receiver.received) == 1


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY is asked for a tunnel, with the password that it has; NO_PROXY is heeded."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{port}")
        answer = post(request("https://hooks.example.com/s3cret-path"))
        thread.join(5)
    assert (answer.status, answer.reason) == (None, "unreachable")
    (head,) = asked
    assert head.startswith(b"CONNECT hooks.example.com:443 HTTP/1")
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in head
    assert b"s3cret" not in head
    monkeypatch.setenv("NO_PROXY", "nowhere.invalid")
    assert "Connection refused" not in post(request("https://nowhere.invalid/")).detail
