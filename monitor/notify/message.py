"""Content of notifications: events in a message, texts and links of limited length.

All texts that come from logs are truncated and contain printable characters only.
"""

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

from monitor.events.types import DriftEvent
from monitor.events.wording.drift import duration, printable, sentence, since_text

MAX_NAME_CHARS = 120
"""Characters of the name of a model, feature or segment."""
MAX_SENTENCE_CHARS = 700
MAX_SENTENCES = 10
"""Sentences in a message with many events; further events are counted."""
MIN_COMMON_MODELS = 3
"""Models in which a feature must change for the headline to begin with it."""
MAX_COMMON_FEATURES = 3
"""Features at the beginning of a headline."""
MAX_VALUE_CHARS = 500
"""Characters of a text in a payload for a program."""
MAX_ITEMS = 30
"""Items of a list or mapping in a payload for a program."""
MIN_SECRET_CHARS = 5
"""Shorter parts of a secret URL are not masked, because they occur in any text."""
HOUR_MS = 3_600_000

_MARKUP = re.compile(r"@(?=\S)|\](?=\()|:(?=//)|`|(?<!\w)#(?=\S)")
_ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STATUSES = ("critical", "warning", "resolved")


@dataclass(frozen=True, slots=True)
class Notice:
    """A drift event to send.

    since: event time at which its alarm opened, for events without a start of the change; None if
        unknown.
    partition: partition of the events topic. All events of an alarm are in one partition.
    mark: text before the sentence.
    """

    event: DriftEvent
    since: float | None
    partition: int = 0
    mark: str = ""

    @property
    def resolved(self) -> bool:
        """Whether the event resolves its alarm."""
        return self.event.change == "resolved"

    @property
    def status(self) -> str:
        """`resolved`, or the severity of the alarm."""
        return "resolved" if self.resolved else self.event.severity

    @property
    def start(self) -> float | None:
        """Event time of the start of the change; without one, that at which the alarm opened."""
        since = self.event.explanation.since
        return self.since if since is None else since.time

    def sentence(self) -> str:
        """Return the event as a sentence on one line."""
        return truncate(self.mark + sentence(self.event), MAX_SENTENCE_CHARS)


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one message.

    ended: partitions in which these events resolve the last alarm that shared a message.
    refresh: whether the message repeats the last events of all open alarms.
    """

    notices: Sequence[Notice]
    ended: frozenset[int] = frozenset()
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of messages, and the addresses that these link to.

    name: in messages and deduplication keys.
    dashboard_url: template of the link to the dashboard.
    runbooks_url: base URL of the runbooks, each named after its alert in lower case.
    experiment_url: template of the link to the report of an experiment.
    replay_url: template of the link to a replay.
    """

    name: str
    dashboard_url: str | None = None
    runbooks_url: str | None = None
    experiment_url: str | None = None
    replay_url: str | None = None

    def dashboard(self, notice: Notice) -> str | None:
        """Return the link to the dashboard."""
        return dashboard_link(self.dashboard_url, notice)

    def runbook(self, notice: Notice) -> str | None:
        """Return the link to the runbook of the alert rule for the same condition."""
        return self.page(alert_name(notice.event.severity))

    def page(self, alert: str) -> str | None:
        """Return the link to the runbook of an alert."""
        if self.runbooks_url is None:
            return None
        return f"{self.runbooks_url.rstrip('/')}/{alert.lower()}"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP POST request. Its repr contains no secret.

    secrets: texts that are masked wherever they occur.
    replicas: URLs of the other members of a cluster, which receive the same request.
    """

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    replicas: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def json(cls, url: str, message: Any, *secrets: str, token: str | None = None) -> Request:
        """Return a request with a JSON body and, if given, a bearer token."""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        parts = urlsplit(url)
        # The host is not secret.
        words = re.split(r"[/?&=]", f"{parts.path}?{parts.query}")
        candidates = (url, token or "", *secrets, *words)
        return cls(
            url,
            msgspec.json.encode(message),
            headers,
            tuple(word for word in candidates if len(word) >= MIN_SECRET_CHARS),
        )


def request_ids(batch: Batch) -> list[str]:
    """Return the request ids in a message, to be masked where a response repeats them."""
    return [each for notice in batch.notices for each in notice.event.explanation.examples]


def truncate(text: str, chars: int) -> str:
    """Return at most this number of characters, on one line and printable."""
    text = printable(text[: chars + 1])
    return text if len(text) <= chars else text[: chars - 1] + "\N{HORIZONTAL ELLIPSIS}"


def break_markup(text: str) -> str:
    """Return a text in which a zero-width space breaks mentions, links, channels and code.

    Chats other than Slack interpret @channel, #channel, Markdown links and backticks.
    """
    return _MARKUP.sub(lambda match: match.group() + _ZERO_WIDTH_SPACE, text)


def alert_name(severity: str) -> str:
    """Return the name of the alert rule for drift of this severity."""
    return f"PlumblineDrift{severity.title()}"


def short_name(text: str) -> str:
    """Return the name of a model, feature or segment, truncated."""
    return truncate(text, MAX_NAME_CHARS)


def alarm_id(alarm: str) -> str:
    """Return the id of an alarm; a hash of it if it is long or has special characters."""
    plain = _PLAIN_ID.fullmatch(alarm)
    return alarm if plain else hashlib.sha256(alarm.encode("utf-8", "replace")).hexdigest()[:16]


def to_datetime(time: float) -> datetime | None:
    """Return an event time as a datetime; None if it is out of range."""
    try:
        return datetime.fromtimestamp(time, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def open_since(notice: Notice) -> str:
    """Return the start of the change and, if its alarm is resolved, its duration.

    Without a known start, it is the time at which the alarm opened.
    """
    if notice.event.explanation.since is not None and not notice.resolved:
        return since_text(notice.event)
    start, now = to_datetime(_start(notice)), to_datetime(notice.event.time)
    if start is None or now is None:
        return "unknown"
    text = f"{start:%Y-%m-%d %H:%M:%S} UTC"
    if notice.start is None and notice.event.change != "opened":
        return f"before {text}"
    if notice.resolved:
        return f"{text}, for {duration(now.timestamp() - start.timestamp())}"
    return text


def _start(notice: Notice) -> float:
    return notice.event.time if notice.start is None else notice.start


def headline(notices: Sequence[Notice]) -> str:
    """Summarize many events: common changes, the number of events by status, and the models."""
    counts = Counter(notice.status for notice in notices)
    parts = ", ".join(f"{counts[status]} {status}" for status in _STATUSES if counts[status])
    by_model = Counter(notice.event.model for notice in notices)
    models = [short_name(model) for model, _ in by_model.most_common()]
    more = f" and {len(models) - 3} more models" if models[3:] else ""
    summary = f"{len(notices)} changes at once: {parts}; of {', '.join(models[:3])}{more}"
    return truncate("; ".join([*_common_changes(notices), summary]), MAX_SENTENCE_CHARS)


def _common_changes(notices: Sequence[Notice]) -> list[str]:
    """Describe the features that changed in at least half of the models, the widest first."""
    models = {notice.event.model for notice in notices}
    changed: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for notice in notices:
        changed[notice.event.feature, _happened(notice)].add(notice.event.model)
    least = max(MIN_COMMON_MODELS, len(models) / 2)
    widest = sorted(changed.items(), key=lambda item: -len(item[1]))[:MAX_COMMON_FEATURES]
    return [
        f"{short_name(feature)} {happened} in {len(affected)} models"
        for (feature, happened), affected in widest
        if len(affected) >= least
    ]


def _happened(notice: Notice) -> str:
    """Return what happened to a feature, as the predicate of a headline."""
    if notice.event.reason:
        return "has its alarm closed"
    return "is quiet again" if notice.resolved else "has drifted"


def most_severe(notices: Sequence[Notice]) -> tuple[list[Notice], int]:
    """Return at most MAX_SENTENCES events, the most severe first, and how many are left out."""
    ordered = sorted(notices, key=lambda n: (_STATUSES.index(n.status), -n.event.psi))
    return ordered[:MAX_SENTENCES], max(0, len(ordered) - MAX_SENTENCES)


def dashboard_link(template: str | None, notice: Notice) -> str | None:
    """Return the link to the dashboard, with percent-encoded values."""
    if template is None:
        return None
    event, start, end = notice.event, to_datetime(_start(notice)), to_datetime(notice.event.time)
    values: dict[str, Any] = {
        "model": short_name(event.model),
        "segment": short_name(event.segment),
        "feature": short_name(event.feature),
        "severity": event.severity,
        "alarm": alarm_id(event.alarm),
        "from": _milliseconds(start) - HOUR_MS,
        "to": _milliseconds(end) + HOUR_MS,
    }
    return template.format_map({key: quote(str(value), safe="") for key, value in values.items()})


def _milliseconds(time: datetime | None) -> int:
    return int(time.timestamp() * 1000) if time else 0


def truncate_values(value: Any, depth: int = 4) -> Any:
    """Return a JSON value with long texts truncated and long or deep parts left out."""
    if isinstance(value, str):
        return value[:MAX_VALUE_CHARS]
    if isinstance(value, dict | list | tuple) and depth == 0:
        return None
    if isinstance(value, dict):
        items = list(value.items())[:MAX_ITEMS]
        return {str(key)[:MAX_VALUE_CHARS]: truncate_values(each, depth - 1) for key, each in items}
    if isinstance(value, list | tuple):
        return [truncate_values(each, depth - 1) for each in value[:MAX_ITEMS]]
    return value
