"""The API of the web role, as a page calls it, and what annotators do with it."""

from __future__ import annotations

import http.client
import json
from typing import Any

from monitor.roles.schemas import open_database


def call(port: int, method: str, path: str, body: Any = None, **more: str) -> tuple[int, Any]:
    """Call the API as a page of the application does. more: headers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"} | more
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content) if content else None


def compare(port: int) -> None:
    """Create a queue of pairs, prefer the second response of one, and rate without others."""
    new = {"name": "pairs", "task": "pairwise", "rubric": "safety", "settings": {"overlap": 1}}
    assert call(port, "POST", "/api/v1/queues", new)[0] == 201
    responses = [
        {"request_id": f"pair-{name}", "text": f"text of {name}", "model": name} for name in "ab"
    ]
    added = {"items": [{"prompt": "Which one?", "responses": responses}]}
    assert call(port, "POST", "/api/v1/queues/pairs/items", added)[0] == 201
    status, task = call(port, "POST", "/api/v1/queues/pairs/tasks")
    assert status == 200
    best = "first" if task["responses"][0] == "text of b" else "second"
    answer = {"preferences": {"overall": best}}
    assert call(port, "POST", f"/api/v1/tasks/{task['id']}/answer", answer)[0] == 200


def send_labels_now(url: str) -> None:
    """Do not wait until labels can no longer be undone."""
    with open_database(url) as store, store.write() as connection:
        connection.exec_driver_sql("UPDATE web_outbox SET not_before = 0")
