"""The HTTP port: routes, verdicts, and clients that are slow, many or rude."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic
from prometheus_client.registry import Collector, CollectorRegistry

from monitor.config import LogConfig
from monitor.health import STALLED_AFTER, Health
from monitor.logs import configure
from monitor.metrics import Metrics, registry
from monitor.web.server import WebServer


@dataclass
class Place:
    """A server, and what it tells of."""

    port: int
    health: Health
    metrics: Metrics
    now: float = 0.0

    def ask(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The response to one request, and its body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body


@pytest.fixture(scope="module")
def server() -> Iterator[Place]:
    """One server for all tests of this module."""
    made = Place(0, Health(lambda: made.now), Metrics())
    with WebServer("127.0.0.1", 0, registry(made.metrics), made.health) as web:
        made.port = web.port
        yield made


@pytest.fixture
def place(server: Place) -> Place:
    """The server, with no role running."""
    server.health.beats.clear()
    server.health.waiting.clear()
    return server


def test_metrics_in_both_forms(place: Place) -> None:
    """A scraper gets the form that it asks for, each with its own content type."""
    place.metrics.consumed["logs"] = 4
    response, body = place.ask("/metrics")
    assert response.status == 200
    assert (response.getheader("Content-Type") or "").startswith("text/plain; version=")
    assert "plumbline_records_consumed" in {f.name for f in parse_classic(body.decode())}
    accept = "application/openmetrics-text; version=1.0.0"
    response, body = place.ask("/metrics", Accept=accept)
    assert (response.getheader("Content-Type") or "").startswith("application/openmetrics-text")
    families = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]  # not typed there
    assert "plumbline_records_consumed" in {family.name for family in families}


def test_healthz_fails_when_a_loop_stalls(place: Place) -> None:
    """503 names the role that has stalled; 200 again once it turns."""
    place.health.expect("ingest")
    place.health.expect("detect")
    assert place.ask("/healthz")[0].status == 200
    place.now += STALLED_AFTER + 1
    place.health.beat("detect")
    response, body = place.ask("/healthz")
    assert (response.status, body) == (503, b"stalled: ingest\n")
    place.health.beat("ingest")
    response, body = place.ask("/healthz")
    assert (response.status, body) == (200, b"ok\n")


def test_readyz_waits_for_every_role(place: Place) -> None:
    """503 names who is not ready; 200 when all have joined."""
    place.health.expect("ingest")
    place.health.expect("detect")
    response, body = place.ask("/readyz")
    assert (response.status, body) == (503, b"not ready: detect, ingest\n")
    place.health.ready("detect")
    assert place.ask("/readyz")[1] == b"not ready: ingest\n"
    place.health.ready("ingest")
    assert place.ask("/readyz")[0].status == 200


def test_not_being_ready_is_not_being_dead(place: Place) -> None:
    """A role that waits for its broker turns: it must not be restarted for that."""
    place.health.expect("ingest")
    assert place.ask("/healthz")[0].status == 200


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/", "/healthz/../metrics"])
def test_unknown_paths(place: Place, path: str) -> None:
    """What is not there is a 404 that repeats nothing of the request."""
    response, body = place.ask(path)
    assert (response.status, body) == (404, b"not found\n")


def test_query_is_ignored(place: Place) -> None:
    """A query does not change what a path means."""
    assert place.ask("/healthz?verbose=1")[0].status == 200


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/nothing"])
def test_head_is_get_without_the_body(place: Place, path: str) -> None:
    """HEAD answers with the status and the headers of GET."""
    got, body = place.ask(path)
    head, nothing = place.ask(path, "HEAD")
    assert nothing == b""
    assert head.status == got.status
    assert head.getheader("Content-Type") == got.getheader("Content-Type")
    assert int(head.getheader("Content-Length") or -1) > 0
    assert int(got.getheader("Content-Length") or -1) == len(body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(place: Place, method: str) -> None:
    """Other methods are refused."""
    assert place.ask("/metrics", method)[0].status == 501


def test_headers_tell_strangers_nothing(place: Place) -> None:
    """No version of Python or of a library, and nothing to be sniffed."""
    response, _ = place.ask("/healthz")
    assert response.getheader("Server") == "plumbline"
    assert response.getheader("X-Content-Type-Options") == "nosniff"


def test_slow_clients_hold_nobody_up(place: Place) -> None:
    """While others send half a request and then nothing, the next one is answered at once."""
    slow = [socket.create_connection(("127.0.0.1", place.port)) for _ in range(40)]
    for connection in slow:
        connection.sendall(b"GET /metrics HT")
    started = time.monotonic()
    assert place.ask("/healthz")[0].status == 200
    assert time.monotonic() - started < 5
    for connection in slow:
        connection.close()


def test_concurrent_scrapes(place: Place) -> None:
    """Many scrapes at a time all get the whole text."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: place.ask("/metrics"), range(64)))
    assert {response.status for response, _ in answers} == {200}
    assert all(b"plumbline_metric_series_dropped" in body for _, body in answers)


def test_a_client_that_hangs_up_is_not_news(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """A connection reset before the answer leaves no traceback in the log."""
    for _ in range(5):
        rude = socket.create_connection(("127.0.0.1", place.port))
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        rude.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        rude.close()
    assert place.ask("/healthz")[0].status == 200
    time.sleep(0.1)
    out, err = capfd.readouterr()
    assert out + err == ""


@pytest.mark.parametrize(
    "raw",
    [b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n"],
)
def test_nonsense_is_survived(place: Place, raw: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """What is no HTTP ends that connection, and is not printed."""
    with socket.create_connection(("127.0.0.1", place.port), timeout=5) as rude:
        rude.sendall(raw)
        rude.shutdown(socket.SHUT_WR)
        while rude.recv(4096):
            pass
    assert place.ask("/healthz")[0].status == 200
    assert capfd.readouterr().err == ""


class Broken(Collector):
    """A collector with a bug."""

    def collect(self) -> Iterator[Metric]:
        """Fail."""
        raise ValueError("a bug")


def test_a_scrape_that_fails_is_logged_as_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """A bug in a scrape breaks that scrape, not the server, and the log stays one of JSON lines."""
    broken = CollectorRegistry(auto_describe=False)
    broken.register(Broken())
    health = Health()
    configure(LogConfig(format="json"))
    with WebServer("127.0.0.1", 0, broken, health) as web:
        place = Place(web.port, health, Metrics())
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            place.ask("/metrics")
        assert place.ask("/healthz")[0].status == 200
    [line] = capfd.readouterr().err.splitlines()
    logged = json.loads(line)
    assert logged["event"] == "request failed"
    assert "ValueError: a bug" in logged["exception"]


def test_port_that_is_taken(place: Place) -> None:
    """A second server on the port is an OSError, before anything is served."""
    with pytest.raises(OSError, match="in use"):
        WebServer("127.0.0.1", place.port, registry(Metrics()), Health())


def test_port_is_free_again_afterwards() -> None:
    """A server that has ended leaves its port to the next one."""
    with WebServer("127.0.0.1", 0, registry(Metrics()), Health()) as web:
        port = web.port
        assert Place(port, Health(), Metrics()).ask("/healthz")[0].status == 200
    with WebServer("127.0.0.1", port, registry(Metrics()), Health()) as again:
        assert again.port == port


def test_address_that_cannot_be_had() -> None:
    """An address of another machine is an OSError."""
    with pytest.raises(OSError, match=r"assign|unreachable|not available"):
        WebServer("192.0.2.1", 0, registry(Metrics()), Health())


def test_ipv6() -> None:
    """An address with colons is one of IPv6."""
    try:
        web = WebServer("::1", 0, registry(Metrics()), Health())
    except OSError:
        pytest.skip("no IPv6 here")
    with web, socket.create_connection(("::1", web.port)) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 200")
