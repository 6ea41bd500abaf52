"""Clients of the application: requests with the headers of a browser, of a program, of a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from monitor.config.sections.process.web import WebConfig
from monitor.database.store import Store
from monitor.ingest.sampling.privacy import user_hash
from monitor.telemetry.counters.web import WebMetrics
from monitor.web.application import make_application, make_routes
from monitor.web.context import WebContext
from monitor.web.sign_in import people, tokens
from monitor.web.sign_in.roles import PersonRole
from monitor.web.views.sources import Sources
from tests.monitor.web.reviews import START, Clock

HOST = "127.0.0.1:9465"
ORIGIN = f"http://{HOST}"
BROWSER = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
"""Headers of a request that a page of the application makes."""
SECRET = "a secret of thirty-two characters"


@dataclass
class Site:
    """An application with a database, its clock, and clients.

    monotonic: time of the rate limits, which a test moves.
    """

    store: Store
    clock: Clock
    config: WebConfig = field(default_factory=WebConfig)
    sources: Sources = field(default_factory=Sources)
    monotonic: float = 0.0

    def __post_init__(self) -> None:
        self.metrics = WebMetrics()
        self.context = WebContext(
            self.store,
            self.metrics,
            sources=self.sources,
            clock=self.clock,
            user_hash=lambda user: user_hash(user, "key"),
        )
        self.app = make_application(self.context, self.config, lambda: self.monotonic)

    def client(
        self, headers: Mapping[str, str] | None = None, peer: str = "127.0.0.1"
    ) -> TestClient:
        """Return a client with these headers; without any, those of a browser."""
        client = TestClient(
            self.app, base_url=ORIGIN, client=(peer, 50_000), raise_server_exceptions=False
        )
        client.headers.clear()
        client.headers.update(BROWSER if headers is None else headers)
        return client

    def token(self, role: PersonRole, days: float = 1.0, name: str = "") -> str:
        """Return the secret of a new token of a person with a role."""
        with self.store.write() as connection:
            name = name or role.label
            person = people.add(connection, people.TOKEN, name, name, role, self.clock())
            new = tokens.NewToken(person, "test", role, days)
            return tokens.create(connection, new, self.clock(), by="test")[1]

    def as_role(self, role: PersonRole, name: str = "") -> TestClient:
        """Return a client with a token of a role."""
        return self.client({"authorization": f"Bearer {self.token(role, name=name)}"})


def routes() -> FastAPI:
    """Return the routes, without a database: to list them."""
    context: Any = None
    return make_routes(context)


__all__ = ["BROWSER", "HOST", "ORIGIN", "SECRET", "START", "Site", "routes"]
