"""A minimal endpoint of the Messages API, which answers each request after a fixed time.

    python -m benchmarks.judges.endpoint SECONDS

It prints its port, and runs until its input is closed. It parses no JSON, so that it uses little of
the machine that the clients are measured on.
"""

from __future__ import annotations

import asyncio
import json
import sys

VERDICT = {
    "reasoning": "The answer names the cause, and explains it in two steps. " * 6,
    "score": 4,
    "passed": True,
}
"""The text of each answer, as JSON."""


def response() -> bytes:
    """Return the response with its head."""
    body = json.dumps(
        {
            "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5",
            "content": [{"type": "text", "text": json.dumps(VERDICT)}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 620,
                "output_tokens": 130,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 1100,
            },
        }
    ).encode()
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """Responds to each whole request of a connection."""

    def __init__(self, seconds: float, answer: bytes) -> None:
        self._seconds = seconds
        self._answer = answer
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self._received) >= end + 4 + length:
            self._received.clear()  # a client sends the next request after the response
            asyncio.get_running_loop().call_later(self._seconds, self._send)

    def _send(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._answer)


async def serve(seconds: float) -> None:
    """Serve until the standard input is closed."""
    loop, answer = asyncio.get_running_loop(), response()
    server = await loop.create_server(lambda: _Connection(seconds, answer), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
