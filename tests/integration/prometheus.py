"""Prometheus, Alertmanager and a webhook on loopback, as a test starts and asks them."""

from __future__ import annotations

import json
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
from tests.integration.broker import free_ports, lifeline
from tests.integration.harness import until

Json = dict[str, Any]


class QueryError(Exception):
    """What Prometheus says of a query that it cannot run."""


class Service:
    """A program that serves HTTP on loopback; as a context manager it ends with the block."""

    def __init__(self, folder: Path, command: Sequence[str], port: int) -> None:
        self.command = command
        self.url = f"http://127.0.0.1:{port}"
        self.log_file = folder / f"{Path(command[0]).name}-{port}.log"

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
        """Leave no process behind."""
        self.process.kill()
        self.process.wait()
        self._guard.kill()
        self._guard.communicate()

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log_file.read_text()[-4000:]
        try:
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).close()
        except OSError:
            return False
        return True


class Alertmanager(Service):
    """Alertmanager with this configuration."""

    def __init__(self, folder: Path, config: Json) -> None:
        file, port = folder / "alertmanager.yaml", free_ports()[0]
        file.write_text(yaml.safe_dump(config))
        command = [
            needed("alertmanager"),
            f"--config.file={file}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",  # alone
        ]
        super().__init__(folder, command, port)

    def post(self, alerts: Sequence[Json]) -> None:
        """Hand it alerts, as Prometheus does."""
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts",
            json.dumps(alerts).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()


class Prometheus(Service):
    """Prometheus with this configuration."""

    def __init__(self, folder: Path, config: Json) -> None:
        file, port = folder / "prometheus.yaml", free_ports()[0]
        file.write_text(yaml.safe_dump(config))
        command = [
            needed("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        super().__init__(folder, command, port)

    def get(self, path: str, **parameters: str | float) -> Any:
        """What the API answers. Raises QueryError with what it complains of."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            with refused:
                raise QueryError(json.load(refused)["error"]) from None

    def query(self, expression: str, at: float | None = None) -> list[Json]:
        """The series that an expression gives at a time, now by default."""
        moment = {} if at is None else {"time": at}
        data = self.get("query", query=expression, **moment)
        scalar = data["resultType"] in {"scalar", "string"}
        return [{"metric": {}, "value": data["result"]}] if scalar else data["result"]

    def over(self, expression: str, start: float, end: float) -> list[Json]:
        """The series that an expression gives in a span of time, second by second."""
        data = self.get("query_range", query=expression, start=start, end=end, step=1)
        found: list[Json] = data["result"]
        return found


@dataclass(frozen=True, slots=True)
class Notification:
    """A message of Alertmanager: to whom, when (monotonic seconds), and what it says."""

    receiver: str
    at: float
    body: Json

    def alerts(self, status: str = "firing") -> list[Json]:
        """The alerts in it of this status."""
        return [alert for alert in self.body["alerts"] if alert["status"] == status]


class Webhook:
    """Takes what Alertmanager sends; the path names the receiver."""

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
                """Messages are kept, not printed."""

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
        """What a receiver was told of groups with these labels, in the order of arrival."""
        return [
            each
            for each in list(self.received)
            if each.receiver == receiver and labels.items() <= each.body["groupLabels"].items()
        ]


def routed_to(webhook: Webhook, example: Path) -> Json:
    """The example for Alertmanager with its routes and inhibition as they are.

    Receivers are the webhook in place of pagers and chats, and seconds pass in place of minutes.
    """
    config: Json = yaml.safe_load(example.read_text())
    config["receivers"] = [
        {
            "name": receiver["name"],
            "webhook_configs": [{"url": f"{webhook.url}/{receiver['name']}"}],
        }
        for receiver in config["receivers"]
    ]
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    return config


def firing(name: str, labels: Mapping[str, str], **more: str) -> Json:
    """An alert as Prometheus sends it."""
    return {"labels": {"alertname": name, **labels, **more}, "annotations": {"summary": name}}
