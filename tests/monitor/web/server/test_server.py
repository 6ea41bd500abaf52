"""The server with real sockets: slow clients, silent clients, shutdown with open streams."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from monitor.config.sections.process.web import WebConfig
from monitor.database.store import Store
from monitor.web.application import make_application
from monitor.web.server.protocol import DeadlineProtocol
from monitor.web.server.server import WebServer
from tests.integration.harness import until
from tests.monitor.web.clients import Site
from tests.monitor.web.reviews import Clock

LIMIT_S = 10.0


class QuickProtocol(DeadlineProtocol):
    """Deadlines that a test can wait for."""

    request_seconds = 0.3
    read_seconds = 0.3


@pytest.fixture
def site(sqlite_store: Store, clock: Clock) -> Site:
    """Return an application with a local admin."""
    return Site(sqlite_store, clock)


@pytest.fixture
def server(site: Site) -> Iterator[WebServer]:
    """Return a running server."""
    stopping = site.context.stopping
    with WebServer(site.app, "127.0.0.1", 0, stopping, QuickProtocol) as running:
        yield running


def connected(server: WebServer) -> socket.socket:
    """Return a connection to the server."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)


def request(server: WebServer, path: str = "/api/v1/me", more: str = "") -> bytes:
    """Return the bytes of a request."""
    host = f"127.0.0.1:{server.port}"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def rest(connection: socket.socket) -> bytes:
    """Return what arrives until the server closes the connection."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
        b"Content-Length: 100\r\n\r\nhalf",
    ],
    ids=["silent", "half a line", "half of the headers", "half of the body"],
)
def test_a_slow_client_is_disconnected(server: WebServer, sent: bytes) -> None:
    """A request that does not end is given up, wherever it stops."""
    with closing(connected(server)) as connection:
        connection.sendall(sent)
        rest(connection)  # raises TimeoutError if the server waits


def drip(connection: socket.socket, content: bytes) -> None:
    """Send a byte now and then, until the connection is closed. Raises OSError then."""
    for number in range(1000):
        connection.sendall(content[number % len(content) :][:1])
        time.sleep(0.02)


def test_dripping_bytes_extend_no_deadline(server: WebServer) -> None:
    """A client that sends a byte now and then is disconnected as well."""
    with closing(connected(server)) as connection, pytest.raises((BrokenPipeError, OSError)):
        drip(connection, request(server)[:-2])


def test_a_client_that_does_not_read_is_disconnected(site: Site) -> None:
    """A response that waits for its reader is given up, and its task ends."""

    async def large(scope: object, receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 32_000_000, "more_body": True})
        await send({"type": "http.response.body", "body": b"x", "more_body": False})

    stopping = site.context.stopping
    with (
        WebServer(large, "127.0.0.1", 0, stopping, QuickProtocol) as server,
        closing(socket.socket()) as connection,
    ):
        connection.settimeout(LIMIT_S)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(request(server))
        state = server._server.server_state
        until(lambda: bool(state.tasks), "a task", LIMIT_S)
        until(lambda: not state.tasks and not state.connections, "its end", LIMIT_S)


def test_requests_in_time_share_a_connection(server: WebServer) -> None:
    """Two requests one after the other, and two at once, are answered."""
    with closing(connected(server)) as connection:
        for _ in range(2):
            connection.sendall(request(server))
            received = b""
            while b"}" not in received:
                received += connection.recv(65536)
            assert b"200 OK" in received
        connection.sendall(request(server) + request(server, more="Connection: close\r\n"))
        assert rest(connection).count(b"200 OK") == 2


def test_repeated_host_headers_are_refused(server: WebServer) -> None:
    """The parser, or the guard, refuses a request with two hosts."""
    with closing(connected(server)) as connection:
        connection.sendall(request(server, more="Host: evil.example\r\nConnection: close\r\n"))
        assert b"400 Bad Request" in rest(connection)


def test_a_body_of_two_lengths_is_refused(server: WebServer) -> None:
    """A proxy that believes the other one would take the rest of the body for another request."""
    with closing(connected(server)) as connection:
        length = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
        connection.sendall(request(server, more=length) + b"0\r\n\r\n" + request(server))
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_forwarded_addresses_are_not_believed(site: Site, server: WebServer) -> None:
    """A client cannot choose its address, although it is on loopback."""
    with closing(connected(server)) as connection:
        more = "X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n"
        connection.sendall(request(server, more=more))
        assert b"200 OK" in rest(connection)  # the local admin is known by the address


def test_open_streams_end_with_the_server(site: Site) -> None:
    """Fifty pages that receive events do not delay the end of the process."""
    stopping = threading.Event()
    context = replace(site.context, stopping=stopping)
    app = make_application(context, WebConfig())
    with WebServer(app, "127.0.0.1", 0, stopping) as server:
        streams = [connected(server) for _ in range(50)]
        for each in streams:
            each.sendall(request(server, "/api/v1/stream"))
            assert b"text/event-stream" in each.recv(65536)
        assert site.metrics.streams == 50
    assert site.metrics.streams == 0
    for each in streams:
        each.close()


def test_an_address_in_use_is_an_error_at_the_start(site: Site, server: WebServer) -> None:
    """The error is raised where the server is made, and not in its thread."""
    with pytest.raises(OSError, match="in use"):
        WebServer(site.app, "127.0.0.1", server.port, threading.Event())
