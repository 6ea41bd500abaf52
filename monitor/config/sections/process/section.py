"""The sections `state`, `http` and `log`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from monitor.config.sections.base.fields import ListenHost, Positive
from monitor.config.sections.base.section import Section


class StateConfig(Section):
    """Checkpoints of windows, detectors and alarms."""

    checkpoint_seconds: Positive = Field(
        default=5.0,
        description="Seconds between checkpoints. After a crash, this much work is repeated.",
    )
    unusable: Literal["earliest", "latest", "stop"] = Field(
        default="earliest",
        description="Action if a checkpoint cannot be used: start from the `earliest` or the"
        " `latest` feature chunk, or `stop`.",
    )


class HttpConfig(Section):
    """HTTP server for metrics and health checks."""

    host: ListenHost = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=9464, ge=0, le=65535, description="TCP port to listen on. 0 selects any free port."
    )


class LogConfig(Section):
    """Log of the daemon."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Lowest severity that is logged: `debug`, `info`, `warning` or `error`.",
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="Format of a log line: `auto` is `console` on a terminal and `json` elsewhere.",
    )
