"""Templates, rendered with autoescape: nothing from a record is ever markup."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from monitor import __version__
from monitor.events.wording.drift import duration, number_text
from monitor.events.wording.experiments import percent
from monitor.experiments.report.wording import breached_text
from monitor.web.context import WebContext
from monitor.web.pages.text import path_of, plain, quoted, shown
from monitor.web.server.guard.guard import identity_of

HTML: Final = "text/html; charset=utf-8"
UNKNOWN: Final = "\N{EN DASH}"
_DAY: Final = 86_400.0


@cache
def environment() -> Environment:
    """Return the environment of the templates."""
    made = Environment(
        loader=PackageLoader("monitor.web.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "shown": shown,
        "number": number,
        "hundredths": hundredths,
        "share": share,
        "percent": percent,
        "time": time_text,
        "duration": duration,
        "quoted": quoted,
        "words": words,
    }
    made.globals |= {"path_of": path_of, "version": __version__, "breached_of": breached_text}
    return made


def _finalize(value: Any) -> Any:
    """Return what a template prints: text without hidden characters, and no None."""
    if value is None:
        return UNKNOWN
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def number(value: float | None, digits: int = 3) -> str:
    """Return a number; a whole one with all its digits."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else number_text(value, digits)


def hundredths(value: float | None) -> str:
    """Return a coefficient with two digits after the point, so that a column lines up."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value + 0.0:.2f}".replace("-0.00", "0.00")


def share(value: float | None) -> str:
    """Return a share from 0 to 1 in percent."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    digits = 1 if 0 < value < 0.1 or 0.9 < value < 1 else 0
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def words(name: str) -> str:
    """Return an identifier of the program as words."""
    return name.replace("_", " ")


def time_text(value: float | None) -> Markup | str:
    """Return a time in UTC, with its seconds for programs."""
    if value is None:
        return UNKNOWN
    try:
        found = datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return "unknown"
    return Markup('<time datetime="{}">{} UTC</time>').format(
        f"{found:%Y-%m-%dT%H:%M:%SZ}", f"{found:%Y-%m-%d %H:%M}"
    )


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page. Templates get `me`, `path` and `now` besides the values.

    me: who makes the request. now: seconds since the epoch.
    """
    me = identity_of(request.scope)
    context: WebContext | None = request.app.state.context
    now = time.time() if context is None else context.clock()
    values = {"path": request.url.path, "now": now} | values
    text = environment().get_template(template).render(me=me, **values)
    return HTMLResponse(text, status)
