"""Find out who makes a request, from its headers and its peer.

A bearer token counts alone, whatever else a request carries. The headers of the proxy count only
from its networks and with its secret. Without either, the local admin is meant, if there is one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, Literal

from monitor.config.sections.process.sign_in import ProxyConfig
from monitor.config.sections.process.web import is_loopback
from monitor.database.store import Store
from monitor.web.review.model import ReviewError
from monitor.web.sign_in import people, tokens
from monitor.web.sign_in.people import Person
from monitor.web.sign_in.roles import PersonRole, role_of

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""
MAX_SUBJECT_CHARS: Final = 200
Reason = Literal["missing", "wrong_token", "wrong_secret", "wrong_header", "disabled"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a request. role: of the person, limited by the scope of a token."""

    person: str
    name: str
    role: PersonRole
    kind: Literal["local", "proxy", "token"]


class Refused(Exception):
    """The request is from nobody who is known. reason: a label of the metric."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SignIn:
    """Identifies requests. Threads may share it.

    local: whether requests without credentials are those of the local admin.
    clock: returns the seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        *,
        local: bool,
        proxy: ProxyConfig | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._local = local
        self._proxy = proxy
        self._networks = [ip_network(each) for each in proxy.networks] if proxy else []

    def start(self) -> None:
        """Add the local admin, if there is one."""
        if self._local:
            with self._store.write() as connection:
                role = PersonRole.ADMIN
                people.add(connection, people.LOCAL, "admin", "Local admin", role, self._clock())

    def identify(self, headers: Headers, peer: str) -> Identity:
        """Return who makes a request. peer: address of the other end. Raises Refused."""
        authorization = _values(headers, b"authorization")
        if authorization:
            return self._by_token(authorization[0])
        if self._proxy is not None and self._is_proxy(peer):
            return self._by_proxy(self._proxy, headers)
        if self._local and is_loopback(peer):
            return self._by_local()
        raise Refused("missing", "sign in: send a bearer token, or use the address of the proxy")

    def _by_token(self, authorization: bytes) -> Identity:
        scheme, _, secret = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused("wrong_token", "the authorization is not a bearer token")
        with self._store.read() as connection:
            token = tokens.valid(connection, secret.strip(), self._clock())
            person = None if token is None else people.find(connection, token.person)
        if token is None or person is None:
            raise Refused("wrong_token", "the token is unknown, has expired or was revoked")
        return _identity(person, min(person.rank, role_of(token.scope)), "token")

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)

    def _by_proxy(self, proxy: ProxyConfig, headers: Headers) -> Identity:
        given = _values(headers, proxy.secret_header.encode())
        secret = proxy.secret.get_secret_value().strip().encode()
        if len(given) != 1 or not secrets.compare_digest(given[0], secret):
            raise Refused("wrong_secret", "the proxy did not send its secret")
        subject = _text(headers, proxy.subject_header)
        name = _text(headers, proxy.name_header)
        if subject is None or name is None or not subject:
            raise Refused("wrong_header", "the proxy did not name one person")
        person = self._known(subject, name, role_of(proxy.new_people))
        rank = PersonRole.ADMIN if subject in proxy.admins else person.rank
        return _identity(person, rank, "proxy")

    def _known(self, subject: str, name: str, role: PersonRole) -> Person:
        """Return the person of a subject, who is added at the first request."""
        with self._store.read() as connection:
            person = people.by_subject(connection, people.PROXY, subject)
        if person is not None and (not name or person.name == name[: people.MAX_NAME_CHARS]):
            return person
        with self._store.write() as connection:
            try:
                added = people.add(connection, people.PROXY, subject, name, role, self._clock())
            except ReviewError as error:
                raise Refused("missing", str(error)) from None
            if name:
                people.rename(connection, added.id, name)
            return people.find(connection, added.id) or added

    def _by_local(self) -> Identity:
        with self._store.read() as connection:
            person = people.by_subject(connection, people.LOCAL, "admin")
        if person is None:
            raise Refused("missing", "there is no local admin")
        return _identity(person, PersonRole.ADMIN, "local")


def _identity(
    person: Person, role: PersonRole, kind: Literal["local", "proxy", "token"]
) -> Identity:
    if person.disabled:
        raise Refused("disabled", "this person is disabled")
    return Identity(person.id, person.name, role, kind)


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _text(headers: Headers, name: str) -> str | None:
    """Return the text of a header, "" without one; None if it is repeated or not printable."""
    found = _values(headers, name.encode())
    if not found:
        return ""
    try:
        text = found[0].decode("utf-8").strip()
    except UnicodeDecodeError:
        return None
    return (
        text if len(found) == 1 and text.isprintable() and len(text) <= MAX_SUBJECT_CHARS else None
    )
