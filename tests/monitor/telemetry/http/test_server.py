"""The HTTP server: routes, health, and clients that are slow, many or faulty."""

from __future__ import annotations

import gzip
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

from monitor.config.sections.process.section import LogConfig
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.exporter import registry
from monitor.telemetry.health import STALLED_AFTER, UNREACHABLE_AFTER, Health
from monitor.telemetry.http.server import WebServer
from monitor.telemetry.logging import configure


@dataclass
class Server:
    """A server with the objects that it reports."""

    port: int
    health: Health
    metrics: Metrics
    now: float = 0.0

    def request(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Return the response to a request, and its body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """Run one server for all tests of this module."""
    running = Server(0, Health(lambda: running.now), Metrics())
    with WebServer("127.0.0.1", 0, registry(running.metrics), running.health) as web:
        running.port = web.port
        yield running


@pytest.fixture
def server(shared: Server) -> Server:
    """Return the server without any role."""
    shared.health.beats.clear()
    shared.health.not_ready.clear()
    shared.health.broker_seen = None
    return shared


def test_metrics_are_served_in_both_formats(server: Server) -> None:
    """The Accept header selects the format; each has its own content type."""
    server.metrics.consumed["logs"] = 4
    response, body = server.request("/metrics")
    assert response.status == 200
    assert (response.getheader("Content-Type") or "").startswith("text/plain; version=")
    assert "plumbline_records_consumed" in {f.name for f in parse_classic(body.decode())}
    accept = "application/openmetrics-text; version=1.0.0"
    response, body = server.request("/metrics", Accept=accept)
    assert (response.getheader("Content-Type") or "").startswith("application/openmetrics-text")
    families = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]  # not typed there
    assert "plumbline_records_consumed" in {family.name for family in families}


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=abc",
        "application/openmetrics-text; version=",
        "application/openmetrics-text; version=99.0.0",
        "application/openmetrics-text; version=1.0.0-rc.0; escaping=allow-utf-8",
        "application/openmetrics-text; version=1.0.0.0.0",
        "application/openmetrics-text; version=-1",
        "text/plain; version=latest",
        "text/plain;version=2.0;q=\xff",
        ";;;,,;=,version=1",
        "a" * 60_000,
        "*/*",
        "",
    ],
)
def test_any_other_accept_header_gets_the_default_format(server: Server, accept: str) -> None:
    """Unknown versions, and what is no Accept header at all, are answered with 200."""
    response, body = server.request("/metrics", Accept=accept)
    assert response.status == 200
    content_type = response.headers["Content-Type"]
    assert content_type.startswith("text/plain; version=0.0.4")
    assert "plumbline_build_info" in {family.name for family in parse_classic(body.decode())}


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores", "nonsense", "\t"])
def test_a_known_version_among_others_is_served(server: Server, escaping: str) -> None:
    """A client that prefers an unknown version gets the next that it accepts."""
    accept = (
        "application/openmetrics-text;version=9.9.9;q=0.9,"
        f"application/openmetrics-text;version=1.0.0;escaping={escaping};q=0.6,*/*;q=0.2"
    )
    response, body = server.request("/metrics", Accept=accept)
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_healthz_fails_when_a_loop_stalls(server: Server) -> None:
    """503 names the stalled role; a heartbeat restores 200."""
    server.health.register("ingest")
    server.health.register("detect")
    assert server.request("/healthz")[0].status == 200
    server.now += STALLED_AFTER + 1
    server.health.beat("detect")
    response, body = server.request("/healthz")
    assert (response.status, body) == (503, b"stalled: ingest\n")
    server.health.beat("ingest")
    response, body = server.request("/healthz")
    assert (response.status, body) == (200, b"ok\n")


def test_readyz_waits_for_every_role(server: Server) -> None:
    """503 names the roles that are not ready; 200 follows when all are."""
    server.health.register("ingest")
    server.health.register("detect")
    response, body = server.request("/readyz")
    assert (response.status, body) == (503, b"not ready: detect, ingest\n")
    server.health.mark_ready("detect")
    assert server.request("/readyz")[1] == b"not ready: ingest\n"
    server.health.mark_ready("ingest")
    assert server.request("/readyz")[0].status == 200


def test_readyz_fails_while_the_broker_is_away(server: Server) -> None:
    """503 gives the reason, although all roles have joined; liveness does not depend on it."""
    server.health.register("ingest")
    server.health.mark_ready("ingest")
    server.health.broker_responded()
    server.now += UNREACHABLE_AFTER + 1
    response, body = server.request("/readyz")
    assert (response.status, body) == (503, b"broker unreachable, not ready: ingest\n")
    assert server.request("/healthz")[0].status == 200
    server.health.broker_responded()
    assert server.request("/readyz")[0].status == 200


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("", False),
        ("br", False),
        ("identity", False),
    ],
)
def test_metrics_are_compressed_for_clients_that_accept_it(
    server: Server, accepted: str, compressed: bool
) -> None:
    """The content is the same, and caches learn on which headers it depends."""
    response, body = server.request("/metrics", **{"Accept-Encoding": accepted})
    assert (response.getheader("Content-Encoding") == "gzip") == compressed
    assert response.getheader("Content-Length") == str(len(body))
    assert "Accept-Encoding" in (response.getheader("Vary") or "")
    text = gzip.decompress(body) if compressed else body
    assert "plumbline_records_consumed" in {f.name for f in parse_classic(text.decode())}
    head, nothing = server.request("/metrics", "HEAD", **{"Accept-Encoding": accepted})
    assert (head.getheader("Content-Encoding") == "gzip") == compressed
    assert nothing == b""


def test_healthz_does_not_depend_on_readiness(server: Server) -> None:
    """A role that waits for the broker is healthy: a restart would not help."""
    server.health.register("ingest")
    assert server.request("/healthz")[0].status == 200


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/", "/healthz/../metrics"])
def test_an_unknown_path_is_not_found(server: Server, path: str) -> None:
    """The body repeats nothing of the request."""
    response, body = server.request(path)
    assert (response.status, body) == (404, b"not found\n")


def test_the_query_is_ignored(server: Server) -> None:
    """A path with a query has the response of the path."""
    assert server.request("/healthz?verbose=1")[0].status == 200


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/nothing"])
def test_head_is_get_without_the_body(server: Server, path: str) -> None:
    """HEAD returns the status and the headers of GET."""
    get, body = server.request(path)
    head, empty = server.request(path, "HEAD")
    assert empty == b""
    assert head.status == get.status
    assert head.getheader("Content-Type") == get.getheader("Content-Type")
    assert int(head.getheader("Content-Length") or -1) > 0
    assert int(get.getheader("Content-Length") or -1) == len(body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_supported(server: Server, method: str) -> None:
    """The server is read-only."""
    assert server.request("/metrics", method)[0].status == 501


def test_headers_have_no_versions(server: Server) -> None:
    """Content sniffing is disabled as well."""
    response, _ = server.request("/healthz")
    assert response.getheader("Server") == "plumbline"
    assert response.getheader("X-Content-Type-Options") == "nosniff"


def test_slow_clients_do_not_block_others(server: Server) -> None:
    """Clients that send half of a request do not delay the next request."""
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    for connection in slow:
        connection.sendall(b"GET /metrics HT")
    started = time.monotonic()
    assert server.request("/healthz")[0].status == 200
    assert time.monotonic() - started < 5
    for connection in slow:
        connection.close()


def test_concurrent_scrapes_are_complete(server: Server) -> None:
    """Every one of many concurrent scrapes receives the whole text."""
    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(lambda _: server.request("/metrics"), range(64)))
    assert {response.status for response, _ in responses} == {200}
    assert all(b"plumbline_metric_series_dropped" in body for _, body in responses)


def test_a_closed_connection_is_not_logged(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    """A connection reset before the response leaves no traceback."""
    for _ in range(5):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        client.close()
    assert server.request("/healthz")[0].status == 200
    time.sleep(0.1)
    out, err = capfd.readouterr()
    assert out + err == ""


@pytest.mark.parametrize(
    "raw",
    [b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n"],
)
def test_invalid_requests_are_ignored(
    server: Server, raw: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Bytes that are not HTTP end that connection only, and are not printed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass
    assert server.request("/healthz")[0].status == 200
    assert capfd.readouterr().err == ""


class Broken(Collector):
    """A collector that fails."""

    def collect(self) -> Iterator[Metric]:
        """Raise ValueError."""
        raise ValueError("a bug")


def test_a_failed_scrape_is_logged_as_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """The server continues, and the log remains JSON lines."""
    broken = CollectorRegistry(auto_describe=False)
    broken.register(Broken())
    health = Health()
    configure(LogConfig(format="json"))
    with WebServer("127.0.0.1", 0, broken, health) as web:
        server = Server(web.port, health, Metrics())
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            server.request("/metrics")
        assert server.request("/healthz")[0].status == 200
    [line] = capfd.readouterr().err.splitlines()
    logged = json.loads(line)
    assert logged["event"] == "request failed"
    assert "ValueError: a bug" in logged["exception"]


def test_a_port_in_use_is_an_error(server: Server) -> None:
    """The constructor raises OSError."""
    with pytest.raises(OSError, match="in use"):
        WebServer("127.0.0.1", server.port, registry(Metrics()), Health())


def test_the_port_is_released() -> None:
    """Another server can use it at once."""
    with WebServer("127.0.0.1", 0, registry(Metrics()), Health()) as web:
        port = web.port
        assert Server(port, Health(), Metrics()).request("/healthz")[0].status == 200
    with WebServer("127.0.0.1", port, registry(Metrics()), Health()) as again:
        assert again.port == port


def test_an_unavailable_address_is_an_error() -> None:
    """The constructor raises OSError for an address of another machine."""
    with pytest.raises(OSError, match=r"assign|unreachable|not available"):
        WebServer("192.0.2.1", 0, registry(Metrics()), Health())


def test_ipv6_is_supported() -> None:
    """An address with colons is an IPv6 address."""
    try:
        web = WebServer("::1", 0, registry(Metrics()), Health())
    except OSError:
        pytest.skip("no IPv6 here")
    with web, socket.create_connection(("::1", web.port)) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 200")
