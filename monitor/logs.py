"""structlog: JSON lines for machines, colours for a person at a terminal."""

from __future__ import annotations

import logging
import sys

import structlog

from monitor.config import LogConfig


def configure(config: LogConfig) -> None:
    """Send the logs of the whole process to standard error."""
    pretty = config.format == "console" or (config.format == "auto" and sys.stderr.isatty())
    render: structlog.typing.Processor = (
        # its default prints local variables with a traceback: records, and passwords
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if pretty
        else structlog.processors.JSONRenderer()
    )
    tracebacks = [] if pretty else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tracebacks,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[config.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
