"""What the guard refuses: other hosts, other origins, repeated headers, too much of anything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.sections.process.web import WebConfig
from monitor.database.store import Store
from monitor.web.server.guard import guard
from monitor.web.server.guard.checks import (
    ONCE,
    allowed_hosts,
    check_host,
    check_origin,
    check_request,
    host_name,
)
from monitor.web.server.guard.rates import MAX_KEYS, RateLimit
from monitor.web.sign_in.roles import PersonRole
from tests.monitor.web.clients import BROWSER, HOST, ORIGIN, Site
from tests.monitor.web.reviews import Clock

ME = "/api/v1/me"
UNDO = "/api/v1/queues/answers/undo"


@pytest.fixture
def site(sqlite_store: Store, clock: Clock) -> Site:
    """Return an application with a local admin."""
    return Site(sqlite_store, clock)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9465", "0.0.0.0", "[::2]"],
)
def test_another_host_is_refused(site: Site, host: str) -> None:
    """A name of a stranger that resolves to this machine reads nothing and changes nothing."""
    for headers in (BROWSER, {"origin": f"http://{host}"}):
        client = site.client({**headers, "host": host})
        assert client.get(ME).status_code == 421
        assert client.get("/static/plumbline.css").status_code == 421
        assert client.post(UNDO).status_code in {403, 421}


@pytest.mark.parametrize("host", ["127.0.0.1:9465", "localhost:9465", "[::1]:80", "LOCALHOST"])
def test_loopback_names_are_served_on_loopback(site: Site, host: str) -> None:
    """All names of the loopback address work, with any port."""
    assert site.client({**BROWSER, "host": host}).get(ME).status_code == 200


def test_hosts_follow_from_the_configuration() -> None:
    """On an open address only the names of the configuration are served, and the address."""
    assert allowed_hosts("0.0.0.0", ["Review.example.com"]) == {"review.example.com"}
    assert allowed_hosts("10.0.0.7", []) == {"10.0.0.7"}
    assert "[::1]" in allowed_hosts("::1", [])
    assert host_name("[::1]:80") == "[::1]"
    assert host_name("a.b:80") == "a.b"
    assert check_host([(b"accept", b"*/*")], {"a"}) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "same-site", "origin": ORIGIN},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "null"},
        {"origin": f"http://{HOST}.evil.example"},
        {},
    ],
)
def test_a_change_from_another_origin_is_refused(site: Site, headers: dict[str, str]) -> None:
    """A page of a stranger, or of another port, cannot act as the person who sees it."""
    assert site.client(headers).post(UNDO).status_code == 403
    assert +site.metrics.refusals == {"origin": 1}


@pytest.mark.parametrize("headers", [BROWSER, {"origin": ORIGIN}])
def test_a_change_from_the_own_origin_reaches_its_route(
    site: Site, headers: dict[str, str]
) -> None:
    """By fetch metadata, and without them by the origin."""
    assert site.client(headers).post(UNDO).status_code == 404


def test_a_token_needs_no_origin(site: Site) -> None:
    """Programs send none, and a browser adds no bearer token to a request of a stranger's page."""
    client = site.as_role(PersonRole.ANNOTATOR)
    assert client.post(UNDO).status_code == 404


@pytest.mark.parametrize("mode", ["cors", "no-cors", "websocket"])
def test_a_foreign_page_reads_nothing(site: Site, mode: str) -> None:
    """Reads of other sites are refused unless a person navigates."""
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": mode}
    assert site.client(foreign).get(ME).status_code == 403
    navigation = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert site.client(navigation).get("/").status_code == 200


@given(st.sampled_from(sorted(ONCE)), st.binary(max_size=10), st.binary(max_size=10))
def test_a_repeated_header_is_refused(name: bytes, first: bytes, second: bytes) -> None:
    """Two servers that choose another value of a header would disagree about the request."""
    found = check_request("GET", b"/", [(name, first), (name, second)], ())
    assert found is not None
    assert found.status == 400
    assert check_request("GET", b"/", [(name, first)], ()) is None


def test_a_header_with_an_underscore_is_not_folded() -> None:
    """A name that another server would fold into one of the proxy's is refused."""
    found = check_request("GET", b"/", [(b"x_subject", b"root")], ["x-subject"])
    assert found is not None
    assert found.reason == "underscore_header"


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=6))
@settings(max_examples=200)
def test_headers_of_any_bytes_raise_nothing(headers: list[tuple[bytes, bytes]]) -> None:
    """Whatever a stranger sends, the checks return."""
    for method in ("GET", "POST", "TRACE"):
        check_request(method, b"/", headers, ["x-subject"])
        check_origin(method, headers)
        check_host(headers, {"localhost"})


def test_unknown_methods_and_long_addresses_are_refused(site: Site) -> None:
    """TRACE is not answered, nor an address of more than 4 KiB."""
    assert site.client().request("TRACE", ME).status_code == 405
    assert site.client().get(ME + "?" + "x" * 5_000).status_code == 414


def test_a_large_body_is_refused_before_and_while_it_is_read(site: Site) -> None:
    """By its announced length, and without one by the bytes that arrive; items may be larger."""
    client = site.client({**BROWSER, "content-type": "application/json"})
    large = b"x" * (guard.BODY_BYTES + 1)
    assert client.post(UNDO, content=large).status_code == 413
    assert client.post(UNDO, content=iter([large[:1000], large])).status_code == 413
    assert client.post("/api/v1/queues/none/items", content=large).status_code == 422
    wrong = {"content-length": "ten"}
    assert client.post(UNDO, headers=wrong, content=b"x" * 10).status_code == 400


def test_a_stranger_sends_no_body(sqlite_store: Store, clock: Clock) -> None:
    """A request without credentials is refused before its body is read."""
    site = Site(sqlite_store, clock, WebConfig(sign_in="required"))
    read = 0

    def body() -> bytes:
        nonlocal read
        read += 1
        return b"x"

    import anyio

    async def request() -> int:
        sent: list[int] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body(), "more_body": True}

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                sent.append(int(str(message["status"])))

        scope = {
            "type": "http",
            "method": "POST",
            "path": UNDO,
            "raw_path": UNDO.encode(),
            "query_string": b"",
            "headers": [(b"host", HOST.encode()), (b"origin", ORIGIN.encode())],
            "client": ("127.0.0.1", 1),
        }
        await site.app(scope, receive, send)  # type: ignore[arg-type] # plain dictionaries
        return sent[0]

    assert anyio.run(request) == 401
    assert read == 0


def test_requests_are_limited_by_person_and_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the burst: 429 with the time to wait, which then suffices."""
    client = site.client()
    statuses = [client.get(ME).status_code for _ in range(301)]
    assert statuses == [200] * 300 + [429]
    wait = int(client.get(ME).headers["retry-after"])
    site.monotonic += wait
    assert client.get(ME).status_code == 200


def test_guessing_tokens_is_limited_for_its_address_only(site: Site) -> None:
    """After twenty wrong tokens an address may send none; others, and pages, are not affected."""
    wrong = {"authorization": "Bearer plb_guess"}
    statuses = [site.client(wrong).get(ME).status_code for _ in range(21)]
    assert statuses == [401] * 20 + [429]
    right = {"authorization": f"Bearer {site.token(PersonRole.VIEWER)}"}
    assert site.client(right).get(ME).status_code == 429
    assert site.client(right, peer="10.0.0.1").get(ME).status_code == 200
    assert site.client().get(ME).status_code == 200


def test_limits_forget_the_oldest_keys() -> None:
    """The memory of a limit is bounded, whatever strangers send."""
    limit = RateLimit(60, 1, lambda: 0.0)
    for number in range(MAX_KEYS + 10):
        assert limit.take(str(number)) == 0
    assert len(limit._buckets) == MAX_KEYS
    assert limit.take(str(MAX_KEYS + 9)) == 1


def test_every_response_has_the_security_headers(site: Site) -> None:
    """Pages, JSON, errors and refusals: no script of others, no frames, no guessing of types."""
    responses = [
        site.client().get(path)
        for path in ("/", ME, "/nothing", "/static/plumbline.css", "/api/v1/queues/x")
    ]
    responses.append(site.client({}).post(UNDO))
    for response in responses:
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in policy
        assert response.headers["cache-control"] in {"no-store", "no-cache"}
        assert "server" not in response.headers
