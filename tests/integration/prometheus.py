"""Prometheus, Alertmanager and a webhook receiver on loopback, for tests."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.debian import needed
from tests.integration.broker import lifeline
from tests.integration.harness import TIMEOUT_S, until

Json = dict[str, Any]
GROUP_WAIT_SECONDS = 5
"""Longer than a few rule evaluations (1 s): alerts that belong together may fire seconds apart."""


class QueryError(Exception):
    """Prometheus rejected a query; the message is its own."""


LISTENING = re.compile(r'msg="Listening on" address=(127\.0\.0\.1:\d+)')
LISTEN = "--web.listen-address=127.0.0.1:0"
"""The program picks the port and logs it: a port picked here could be taken before it starts."""


class Service:
    """A program that serves HTTP on loopback. As a context manager, it ends with the block."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.command = command
        self.url = ""
        self.log_file = folder / f"{Path(command[0]).name}.log"

    def __enter__(self) -> Self:
        """Start the process, tied to this one, and wait until it is ready."""
        with self.log_file.open("wb") as stream:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self._guard = lifeline(self.process.pid)
        until(self._ready, f"{self.command[0]}, see {self.log_file}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self._guard.kill()
        self._guard.communicate()

    def _ready(self) -> bool:
        log = self.log_file.read_text()
        assert self.process.poll() is None, log[-4000:]
        listening = LISTENING.search(log)
        if listening is None:
            return False
        self.url = f"http://{listening[1]}"
        try:
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).close()
        except OSError:
            return False
        return True


class Alertmanager(Service):
    """Alertmanager with a given configuration."""

    def __init__(self, folder: Path, config: Json) -> None:
        file = folder / "alertmanager.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [
            needed("alertmanager"),
            f"--config.file={file}",
            f"--storage.path={folder / 'alertmanager'}",
            LISTEN,
            "--cluster.listen-address=",  # a single instance
        ]
        super().__init__(folder, command)

    def post(self, alerts: Sequence[Json]) -> None:
        """Send alerts, as Prometheus does."""
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts",
            json.dumps(alerts).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()

    def active(self, **labels: str) -> list[Json]:
        """Return the alerts with these labels that have not ended, also inhibited ones."""
        filters = [("filter", f'{name}="{value}"') for name, value in labels.items()]
        url = f"{self.url}/api/v2/alerts?{urllib.parse.urlencode(filters)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            found: list[Json] = json.load(response)
            return found


class Prometheus(Service):
    """Prometheus with a given configuration."""

    def __init__(self, folder: Path, config: Json) -> None:
        file = folder / "prometheus.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [
            needed("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            LISTEN,
        ]
        super().__init__(folder, command)

    def get(self, path: str, **parameters: str | float) -> Any:
        """Return the data of an API response. Raises QueryError for an error response."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise QueryError(json.load(error)["error"]) from None

    def query(self, expression: str, at: float | None = None) -> list[Json]:
        """Evaluate an expression at a time, by default now, and return its series."""
        moment = {} if at is None else {"time": at}
        data = self.get("query", query=expression, **moment)
        scalar = data["resultType"] in {"scalar", "string"}
        return [{"metric": {}, "value": data["result"]}] if scalar else data["result"]

    def over(self, expression: str, start: float, end: float) -> list[Json]:
        """Evaluate an expression for each second of a time range and return its series."""
        data = self.get("query_range", query=expression, start=start, end=end, step=1)
        found: list[Json] = data["result"]
        return found


@dataclass(frozen=True, slots=True)
class Notification:
    """A message of Alertmanager: its receiver, time of arrival (monotonic seconds) and body."""

    receiver: str
    at: float
    body: Json

    def alerts(self, status: str = "firing") -> list[Json]:
        """Return the alerts in it that have this status."""
        return [alert for alert in self.body["alerts"] if alert["status"] == status]


class Webhook:
    """Receive the messages of Alertmanager; the path of the URL names the receiver."""

    def __init__(self) -> None:
        self.received: list[Notification] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received.append(Notification(self.path[1:], time.monotonic(), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Serve in a thread."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def about(self, receiver: str, **labels: str) -> list[Notification]:
        """Return the messages to a receiver about groups with these labels, in arrival order."""
        return [
            each
            for each in list(self.received)
            if each.receiver == receiver and labels.items() <= each.body["groupLabels"].items()
        ]


def routed_to(webhook: Webhook, example: Path) -> Json:
    """Return the example configuration of Alertmanager with its routes and inhibition unchanged.

    The webhook replaces the pager and the chat, and groups wait for seconds instead of minutes.
    """
    config: Json = yaml.safe_load(example.read_text())
    config["receivers"] = [
        {
            "name": receiver["name"],
            "webhook_configs": [{"url": f"{webhook.url}/{receiver['name']}"}],
        }
        for receiver in config["receivers"]
    ]
    config["route"] |= {"group_interval": "1s"}
    _wait_seconds(config["route"])
    return config


def _wait_seconds(route: Json) -> None:
    """Shorten the waits of a route and of those below it."""
    route["group_wait"] = f"{GROUP_WAIT_SECONDS}s"
    for each in route.get("routes", []):
        _wait_seconds(each)


def firing(name: str, labels: Mapping[str, str], **more: str) -> Json:
    """Return an alert as Prometheus sends it."""
    return {"labels": {"alertname": name, **labels, **more}, "annotations": {"summary": name}}
