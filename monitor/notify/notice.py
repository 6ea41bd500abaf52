"""What a message is made from: the news, with every text that came from a log cut to size."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from monitor import events
from monitor.events import DriftEvent, printable

NAME_CHARS = 120
"""Of a model, a feature or a segment, wherever it stands alone."""
SENTENCE_CHARS = 700
TOLD = 10
"""How many events a message that tells of many has in words; the rest is counted."""
FEWEST, FEATURES = 3, 3
"""Models that change alike, from which on that is said; of how many features at most."""
VALUE_CHARS, ITEMS = 500, 30
"""Of a text, and of a list or mapping, in what is sent to programs."""
SHORTEST_SECRET = 5
"""Words of a secret address that are hidden; shorter ones are parts of any text."""
HOUR_MS = 3_600_000
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Notice:
    """An event to tell of. since: event time at which its alarm opened, None where not known.

    partition: of the events topic; an alarm stays in its partition. mark: what the sentence begins
    with.
    """

    event: DriftEvent
    since: float | None
    partition: int = 0
    mark: str = ""

    @property
    def over(self) -> bool:
        """Whether it is good news."""
        return self.event.change == "resolved"

    def sentence(self) -> str:
        """The event in words, on one line."""
        return cut(self.mark + events.sentence(self.event), SENTENCE_CHARS)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one message tells of: one event, or all that came at once.

    ended: partitions in which this is the end of the last alarm that was told together with others.
    """

    notices: Sequence[Notice]
    ended: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """A message on its way by HTTP POST. What may hold a secret is not shown by repr.

    secrets: texts of it that must not be shown, whoever repeats them.
    """

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def json(cls, url: str, message: Any, *secrets: str, token: str | None = None) -> Request:
        """A request with a JSON body, and a token for its Authorization header."""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        parts = urlsplit(url)
        # a host is no secret, and short words of a path are everywhere
        words = re.split(r"[/?&=]", f"{parts.path}?{parts.query}")
        hidden = (url, token or "", *secrets, *words)
        return cls(
            url,
            msgspec.json.encode(message),
            headers,
            tuple(word for word in hidden if len(word) >= SHORTEST_SECRET),
        )


def cut(text: str, chars: int) -> str:
    """At most so many characters, on one line, none of which steers anything."""
    text = printable(text[: chars + 1])
    return text if len(text) <= chars else text[: chars - 1] + "\N{HORIZONTAL ELLIPSIS}"


def name(text: str) -> str:
    """A model, a feature or another name from a log, to stand alone."""
    return cut(text, NAME_CHARS)


def alarm_id(alarm: str) -> str:
    """An alarm's id; one that is not of our making is made as short and plain as ours."""
    plain = _PLAIN_ID.fullmatch(alarm)
    return alarm if plain else hashlib.sha256(alarm.encode("utf-8", "replace")).hexdigest()[:16]


def moment(time: float) -> datetime | None:
    """An event time as a date, None where it is not one."""
    try:
        return datetime.fromtimestamp(time, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def when(notice: Notice) -> str:
    """Since when the alarm is open, or how long it was."""
    start, now = moment(_since(notice)), moment(notice.event.time)
    if start is None or now is None:
        return "not known"
    told = f"{start:%Y-%m-%d %H:%M:%S} UTC"
    if notice.since is None and notice.event.change != "opened":
        return f"before {told}"
    return f"{told}, for {_lasted(now.timestamp() - start.timestamp())}" if notice.over else told


def _since(notice: Notice) -> float:
    return notice.event.time if notice.since is None else notice.since


def _lasted(seconds: float) -> str:
    minutes = max(0, round(seconds / 60))
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def headline(notices: Sequence[Notice]) -> str:
    """Many events in a line: what models have in common, how many of each kind, whose they are."""
    counts = Counter(_what(notice) for notice in notices)
    parts = ", ".join(f"{counts[what]} {what}" for what in _ORDER if counts[what])
    models = [name(model) for model, _ in Counter(n.event.model for n in notices).most_common()]
    some = ", ".join(models[:3]) + (f" and {len(models) - 3} more models" if models[3:] else "")
    said = [*_together(notices), f"{len(notices)} changes at once: {parts}; of {some}"]
    return cut("; ".join(said), SENTENCE_CHARS)


def _together(notices: Sequence[Notice]) -> list[str]:
    """The features in which at least half of the models have changed alike, widest first."""
    models = {notice.event.model for notice in notices}
    alike: defaultdict[tuple[str, bool], set[str]] = defaultdict(set)
    for notice in notices:
        alike[notice.event.feature, notice.over].add(notice.event.model)
    least = max(FEWEST, len(models) / 2)
    widest = sorted(alike.items(), key=lambda item: -len(item[1]))[:FEATURES]
    return [
        f"{name(feature)} {'is quiet again' if over else 'has drifted'} in {len(which)} models"
        for (feature, over), which in widest
        if len(which) >= least
    ]


_ORDER = ("critical", "warning", "resolved")


def _what(notice: Notice) -> str:
    return "resolved" if notice.over else notice.event.severity


def told_first(notices: Sequence[Notice]) -> tuple[list[Notice], int]:
    """Those that a message has room for, the worst first, and how many more there are."""
    worst = sorted(notices, key=lambda n: (_ORDER.index(_what(n)), -n.event.psi))
    return worst[:TOLD], max(0, len(worst) - TOLD)


def link(template: str | None, notice: Notice) -> str | None:
    """The link to the dashboard; what comes from the event cannot leave its place in the URL."""
    if template is None:
        return None
    event, until = notice.event, moment(notice.event.time)
    end = int(until.timestamp() * 1000) if until else 0
    start = moment(_since(notice))
    values: dict[str, Any] = {
        "model": name(event.model),
        "segment": name(event.segment),
        "feature": name(event.feature),
        "severity": event.severity,
        "alarm": alarm_id(event.alarm),
        "from": (int(start.timestamp() * 1000) if start else 0) - HOUR_MS,
        "to": end + HOUR_MS,
    }
    return template.format_map({key: quote(str(value), safe="") for key, value in values.items()})


def trimmed(value: Any, depth: int = 4) -> Any:
    """Plain values, such as JSON has, with long texts cut and long or deep parts left out."""
    if isinstance(value, str):
        return value[:VALUE_CHARS]
    if isinstance(value, dict | list | tuple) and depth == 0:
        return None
    if isinstance(value, dict):
        items = list(value.items())[:ITEMS]
        return {str(key)[:VALUE_CHARS]: trimmed(each, depth - 1) for key, each in items}
    if isinstance(value, list | tuple):
        return [trimmed(each, depth - 1) for each in value[:ITEMS]]
    return value
