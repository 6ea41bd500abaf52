"""The batches of the local model server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.judges.replies import Fault, Reply, error, message_body, raw

Outcome = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Gives the `result` of one request of a batch, from its custom id and parameters."""


def succeed(custom_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result with one valid answer."""
    del custom_id
    body = message_body(model=params["model"])
    return {"type": "succeeded", "message": body}


@dataclass
class BatchStore:
    """Batches of messages: a batch ends after it was retrieved `polls` times.

    outcome: the result of a request. results_host: host of `results_url`, if not the server's.
    created: the number of batches ever created.
    create_seconds: delay of the response to a creation.
    faults: of the next responses with results, in order.
    """

    outcome: Outcome = succeed
    polls: int = 1
    results_host: str | None = None
    base_url: str = ""
    created: int = 0
    create_seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    _requests: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _polled: dict[str, int] = field(default_factory=dict)
    _canceled: set[str] = field(default_factory=set)
    _created_at: dict[str, str] = field(default_factory=dict)

    def reply(self, method: str, path: str, body: Any) -> Reply:
        """Return the response to a request below /v1/messages/batches."""
        parts = path.removeprefix("/v1/messages/batches").strip("/").split("/")
        batch, action = parts[0], parts[1] if len(parts) > 1 else ""
        if method == "POST" and not batch:
            return self._create(body)
        if method == "GET" and not batch:
            return raw({"data": [self._body(each) for each in self._requests], "has_more": False})
        if batch not in self._requests:
            return error(404, "no such batch")
        if method == "POST" and action == "cancel":
            self._canceled.add(batch)
            return raw(self._body(batch))
        if method == "GET" and action == "results":
            return self._results(batch)
        self._polled[batch] += 1
        return raw(self._body(batch))

    def _create(self, body: Any) -> Reply:
        requests = body.get("requests") if isinstance(body, dict) else None
        if not requests:
            return error(400, "requests: at least one is required")
        ids = [each["custom_id"] for each in requests]
        if len(set(ids)) < len(ids):
            return error(400, "requests: custom_id must be unique")
        self.created += 1
        batch = f"msgbatch_{self.created:04d}"
        self._requests[batch] = requests
        self._polled[batch] = 0
        self._created_at[batch] = datetime.now(UTC).isoformat()
        return raw(self._body(batch), seconds=self.create_seconds)

    def _ended(self, batch: str) -> bool:
        return batch in self._canceled or self._polled[batch] >= self.polls

    def _body(self, batch: str) -> dict[str, Any]:
        ended = self._ended(batch)
        host = self.results_host or self.base_url
        count = len(self._requests[batch])
        return {
            "id": batch,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {
                "processing": 0 if ended else count,
                "succeeded": count if ended else 0,
                "errored": 0,
                "canceled": 0,
                "expired": 0,
            },
            "created_at": self._created_at[batch],
            "expires_at": "2026-11-30T12:00:00Z",
            "ended_at": "2026-11-29T12:10:00Z" if ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{host}/v1/messages/batches/{batch}/results" if ended else None,
        }

    def _results(self, batch: str) -> Reply:
        if not self._ended(batch):
            return error(404, "the results are not available yet")
        lines = []
        for each in reversed(self._requests[batch]):  # the order of results is not promised
            canceled = batch in self._canceled
            result = (
                {"type": "canceled"}
                if canceled
                else self.outcome(each["custom_id"], each["params"])
            )
            lines.append(json.dumps({"custom_id": each["custom_id"], "result": result}))
        return Reply(
            200,
            ("\n".join(lines) + "\n").encode(),
            {"content-type": "application/x-jsonl"},
            fault=self.faults.pop(0) if self.faults else "none",
        )
