"""Configure structlog: JSON lines, or formatted text on a terminal.

A log is read on terminals and kept for long. So a record is one line without control characters
(the lines of a traceback on a terminal are indented), and request ids, users and texts of records
are left out, whatever is logged.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitor.config.sections.process.section import LogConfig
from monitor.events.wording.drift import printable

UNLOGGED = frozenset({"examples", "request_id", "user_id", "session_id", "prompt", "response"})
"""Keys that are left out at any depth: they contain parts of records or identify them."""


class LogStream:
    """Writes log lines to a stream; lines that cannot be written are lost.

    A full disk or a closed pipe must not end the daemon.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._descriptor: int | None = None
        if stream is not None:  # None: closed when the process started
            with suppress(OSError, ValueError):  # a stream in memory has no descriptor
                self._descriptor = stream.fileno()

    def write(self, text: str) -> None:
        """Write a text if that is possible."""
        with suppress(OSError, ValueError):
            if self._descriptor is not None:
                # Unbuffered: a buffer would keep what could not be written, and grow.
                data = text.encode(errors="backslashreplace")
                while data:
                    data = data[os.write(self._descriptor, data) :]
            elif self._stream is not None:
                self._stream.write(text)

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # closed
            return False

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""


def configure(config: LogConfig) -> None:
    """Send the log of the process to standard error."""
    stream = LogStream(sys.stderr)
    formatted = config.format == "console" or (config.format == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # The default formatter prints local variables, which may contain records and passwords.
            structlog.processors.format_exc_info,
            _without_records,
            *(_console(colors=stream.isatty()) if formatted else [_json]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[config.level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", stream)),
        cache_logger_on_first_use=False,
    )


def _console(*, colors: bool) -> list[Processor]:
    """Return the processors of formatted text, for a person who reads a terminal."""
    return [
        _summary,
        _printable,
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _summary(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Reduce a record with a sentence to the sentence: its other fields fill a screen."""
    if "summary" not in event:
        return event
    return {key: event[key] for key in ("event", "level", "timestamp", "summary") if key in event}


_render_json = structlog.processors.JSONRenderer()


def _json(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """Return a record as JSON, which escapes all control characters except DEL by itself."""
    return str(_render_json(logger, name, event)).replace("\x7f", "\\u007f")


def _without_records(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Leave out the keys of UNLOGGED at any depth."""
    return {key: _redacted(value) for key, value in event.items() if key not in UNLOGGED}


def _redacted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _redacted(each) for key, each in value.items() if key not in UNLOGGED}
    if isinstance(value, list | tuple):
        return [_redacted(each) for each in value]
    return value


def _printable(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Replace control characters and line breaks in all fields of a record."""
    return {printable(key): _printable_value(key, value) for key, value in event.items()}


def _printable_value(key: str, value: Any) -> Any:
    if key == "exception" and isinstance(value, str):
        return "\n".join(f"    {printable(line)}" for line in value.splitlines())
    text = value if isinstance(value, str) else repr(value)
    return value if text.isprintable() else printable(text)
