"""Judges that obey hostile text, behind a real HTTP server, and a client for them.

Each of them gives the score 1 unless it obeys a text, and then 5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp  # a helper of tests that are about HTTP
from aiohttp import web  # as above

from judges.calls import Answer, Call, Usage
from tests.judges.samples import verdict_text

T = TypeVar("T")
Stub = Callable[[str], bool]
"""Whether a judge obeys a text in the data of a call."""

_FORGERY = re.compile(
    r"<<\s*(?:end\s+)?([0-9a-f]{8,}|token)\b|<[|｜][^<>]{1,40}[|｜]>|\[/?INST\]|<</?SYS>>|</?s>",
    re.IGNORECASE,
)


def obeys_outside(data: str) -> bool:
    """Obey any text outside of the delimiters, apart from the line with the token."""
    first, _, rest = data.partition("\n")
    token = first.rpartition(" ")[2]
    mark = re.escape(token)
    inside = rf"^<<{mark} begin ([^\n]*?)(?: \(shortened\))?>>\n.*?\n<<{mark} end \1>>$"
    return bool(re.sub(inside, "", rest, flags=re.MULTILINE | re.DOTALL).strip())


def obeys_forged(data: str) -> bool:
    """Obey text after anything that has the form of a delimiter and is none of this message."""
    token = data.partition("\n")[0].rpartition(" ")[2].lower()
    return any((found[1] or "").lower() != token for found in _FORGERY.finditer(data))


def obeys_everything(data: str) -> bool:
    """Obey whatever is there."""
    return True


def application(stub: Stub) -> web.Application:
    """Return a server of the Messages API with a judge."""

    async def messages(request: web.Request) -> web.Response:
        body = await request.json()
        data = body["messages"][0]["content"]
        properties = body["output_config"]["format"]["schema"]["properties"]["scores"]["properties"]
        score = 5 if stub(data) else 1
        text = verdict_text(dict.fromkeys(properties, score))
        return web.json_response(
            {
                "type": "message",
                "model": body["model"],
                "stop_reason": "end_turn",
                "content": [{"type": "text", "text": text}],
                "usage": {"input_tokens": len(data) // 4, "output_tokens": 50},
            }
        )

    app = web.Application()
    app.router.add_post("/v1/messages", messages)
    return app


class HttpJudge:
    """A client of such a server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def ask(self, call: Call) -> Answer:
        """Return the answer."""
        body: dict[str, Any] = {
            "model": call.model,
            "max_tokens": call.max_tokens,
            "system": call.instructions,
            "messages": [{"role": "user", "content": call.data}],
            "output_config": {"format": {"type": "json_schema", "schema": dict(call.schema)}},
        }
        async with self.session.post(f"{self.url}/v1/messages", data=json.dumps(body)) as response:
            message = await response.json()
        return Answer(message["content"][0]["text"], Usage(), message["model"])

    async def close(self) -> None:
        """Close the connections."""
        await self.session.close()


async def with_stub(stub: Stub, use: Callable[[HttpJudge], Awaitable[T]]) -> T:
    """Run a server with a judge, and a function with a client of it."""
    runner = web.AppRunner(application(stub), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session:
            return await use(HttpJudge(session, f"http://{host}:{port}"))
    finally:
        await runner.cleanup()
