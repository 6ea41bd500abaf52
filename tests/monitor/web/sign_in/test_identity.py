"""Who makes a request: proxies with their secret, forged headers, unknown people."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from monitor.config.sections.process.sign_in import ProxyConfig
from monitor.config.sections.process.web import WebConfig
from monitor.database.store import Store
from monitor.web.sign_in.roles import PersonRole
from tests.monitor.web.clients import BROWSER, SECRET, Site
from tests.monitor.web.reviews import Clock

ME = "/api/v1/me"
PROXY = ProxyConfig(
    networks=("10.0.0.0/8", "fd00::/8"),
    secret=SecretStr(SECRET),
    admins=("root",),
    name_header="x-name",
    subject_header="x-subject",
    secret_header="x-secret",
)
PEER = "10.1.2.3"


@pytest.fixture
def site(sqlite_store: Store, clock: Clock) -> Site:
    """Return an application behind a proxy."""
    return Site(sqlite_store, clock, WebConfig(sign_in="required", proxy=PROXY))


def by_proxy(subject: str, **more: str) -> dict[str, str]:
    """Return the headers of a request that the proxy sends for a person."""
    return {**BROWSER, "x-secret": SECRET, "x-subject": subject, **more}


def test_a_person_of_the_proxy_is_known_by_the_subject(site: Site) -> None:
    """The id stays with the subject, whatever the name is, and begins with the configured role."""
    first = site.client(by_proxy("u-1", **{"x-name": "Maria"}), PEER).get(ME).json()
    again = site.client(by_proxy("u-1", **{"x-name": "Maria B."}), PEER).get(ME).json()
    other = site.client(by_proxy("u-2", **{"x-name": "Maria"}), PEER).get(ME).json()
    assert (first["role"], first["kind"], first["name"]) == ("viewer", "proxy", "Maria")
    assert again["person"] == first["person"] != other["person"]
    assert again["name"] == "Maria B."


def test_admins_of_the_configuration_are_admins(site: Site) -> None:
    """So that somebody can give the others their roles, which last."""
    root = site.client(by_proxy("root"), PEER)
    person = site.client(by_proxy("u-1"), PEER).get(ME).json()["person"]
    assert root.patch(f"/api/v1/people/{person}", json={"role": "annotator"}).status_code == 200
    assert site.client(by_proxy("u-1"), PEER).get(ME).json()["role"] == "annotator"


@pytest.mark.parametrize("peer", ["127.0.0.1", "11.0.0.1", "::1", "testclient", ""])
def test_headers_from_elsewhere_are_ignored(site: Site, peer: str) -> None:
    """Only the networks of the proxy may name a person, even with the right secret."""
    assert site.client(by_proxy("root"), peer).get(ME).status_code == 401
    assert site.client(by_proxy("root"), "::ffff:10.0.0.1").get(ME).status_code == 200


@pytest.mark.parametrize("secret", ["", "wrong", SECRET[:-1], SECRET + "x"])
def test_the_secret_is_needed(site: Site, secret: str) -> None:
    """A neighbour in the network of the proxy cannot name a person."""
    headers = by_proxy("root") | {"x-secret": secret}
    assert site.client(headers, PEER).get(ME).status_code == 401
    assert +site.metrics.refusals == {"sign_in_wrong_secret": 1}


def test_repeated_and_similar_headers_are_refused(site: Site) -> None:
    """A client behind the proxy cannot add a second subject, in any spelling."""
    client = site.client(by_proxy("u-1"), PEER)
    for name in ("x-subject", "X-Subject", "x_subject", "x-secret", "x-name", "x_name"):
        request = client.build_request("GET", ME)
        headers = [*request.headers.raw, (name.encode(), b"root"), (b"x-name", b"a")]
        request.headers = type(request.headers)(headers)
        assert client.send(request).status_code == 400, name


@pytest.mark.parametrize("subject", ["", "x" * 201, "a\tb", "\x7f"])
def test_a_subject_is_printable_and_short(site: Site, subject: str) -> None:
    """Otherwise the proxy has named nobody."""
    assert site.client(by_proxy(subject), PEER).get(ME).status_code == 401


def test_a_token_counts_before_the_proxy(site: Site) -> None:
    """Whatever the proxy adds, a request with a token is that of its person."""
    token = site.token(PersonRole.VIEWER, name="program")
    headers = by_proxy("root") | {"authorization": f"Bearer {token}"}
    assert site.client(headers, PEER).get(ME).json()["name"] == "program"
    headers["authorization"] = "Bearer wrong"
    assert site.client(headers, PEER).get(ME).status_code == 401


def test_a_database_that_fails_is_no_wrong_password(site: Site) -> None:
    """The status is 503, and nobody is signed in."""
    with site.store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE web_people RENAME TO gone")
    assert site.client(by_proxy("root"), PEER).get(ME).status_code == 503
