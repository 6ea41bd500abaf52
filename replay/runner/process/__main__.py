"""Entry point: read the order from standard input, write messages to the pipe."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import IO

import msgspec

from replay.runner.chunk import Failed, Message
from replay.runner.reasons import reason_of
from replay.runner.supervise import FD_VARIABLE, Order

_MAX_DETAIL = 400


class Output:
    """The pipe to the supervisor: one message a line. Threads may share it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Write a message. The process ends if nobody reads any more."""
        try:
            with self._lock:
                self._file.write(msgspec.json.encode(message) + b"\n")
                self._file.flush()
        except BrokenPipeError:
            os._exit(1)


def main() -> int:
    """Run the order. Errors are messages; the exit status is 1 then."""
    output = Output(os.fdopen(int(os.environ.pop(FD_VARIABLE)), "wb"))
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    try:
        from replay.runner.process.chunks import evaluate  # noqa: PLC0415 - slow; errors are messages

        evaluate(order, output.send)
    except BaseException as error:
        with suppress(OSError):  # the disk of the log may be full
            traceback.print_exc()
        output.send(Failed(reason_of(error), _detail(error)))
        return 1
    return 0


def _end_with_parent() -> None:
    """End this process when its standard input ends: its parent has died."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(1)


def _detail(error: BaseException) -> str:
    """Return a short text without control characters and without the key of the endpoint."""
    text = getattr(error, "detail", "") or f"{type(error).__name__}: {error}"
    if key := os.environ.get("OPENAI_API_KEY"):
        text = text.replace(key, "***")
    return "".join(c if c.isprintable() else " " for c in text)[:_MAX_DETAIL]


if __name__ == "__main__":
    status = main()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)  # lm-eval and its libraries leave threads behind
