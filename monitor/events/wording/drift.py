"""The text of a drift event: one sentence for log lines and notifications."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import NamedTuple

from monitor.events.drift_types import MISSING_PREFIX
from monitor.events.types import DriftEvent, Effect, Kind
from monitor.events.wording.comparison import (
    STATISTICS,
    common_statistics,
    differs,
    tail_length,
    unit_of,
)
from monitor.records import Source

_YEAR_9999 = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""Event times before 1970 or from here on are errors in the log and are not shown."""
_MAX_LABEL_CHARS = 40
_ROUNDING = 1e-9
"""Shares nearer to 0 or 1 are those: a share of so few records cannot be measured."""
_MAX_MARKERS = 4
"""Markers of style in a sentence."""


class _Words(NamedTuple):
    """The words for a record of a source, several of them, its value, and for a missing value."""

    one: str
    many: str
    value: str
    missing: str


_WORDS = {
    Source.LOG: _Words("record", "records", "value", "missing"),
    Source.JUDGE: _Words("judged sample", "judged samples", "score", "unscored"),
    Source.FEEDBACK: _Words("rated record", "rated records", "value", "missing"),
    Source.STYLE: _Words("sampled answer", "sampled answers", "value", "missing"),
}


def records_of(source: Source) -> str:
    """Return the word for the records of a source, in the plural."""
    return _WORDS[source].many


def sentence(event: DriftEvent) -> str:
    """Return the event as one sentence.

    It names the feature, what changed from which value to which, since when, and which other
    features changed.
    """
    subject = f"{event.feature.removeprefix(MISSING_PREFIX)} of {event.model}"
    subject += f" [{event.segment}]" if event.segment else ""
    psi = f"PSI {event.psi:.2f}"
    if event.reason:
        last = f"; last {_current_level(event)}; {psi}" if event.current.n else ""
        return printable(f"{subject}: alarm closed because {event.reason}{last}")
    if event.change == "resolved":
        return printable(f"{subject} is quiet again{_past(event)}: {_current_level(event)}; {psi}")
    drifted = _drifted(event)
    if event.explanation.markers:
        drifted = drifted.replace("drifted", "changed")
        segment = f" [{event.segment}]" if event.segment else ""
        subject = f"style of {event.model}{segment}"
        details = _markers(event) + _since(event)
    else:
        details = _change(event) + _since(event) + _other_features(event)
    return printable(f"{subject} {drifted}: {details}; {psi}")


def _drifted(event: DriftEvent) -> str:
    """Return the verb of an event, with the severity.

    A feature has drifted further if a later step was found; the same change can also become more
    severe, because more of it has been measured.
    """
    if event.change == "updated":
        return f"has drifted ({event.severity}, corrected size)"
    if event.change != "escalated" or event.escalated_from == "info":
        return f"has drifted ({event.severity})"
    if event.explanation.further:
        return f"has drifted further ({event.severity})"
    return f"has become {event.severity}"


def _markers(event: DriftEvent) -> str:
    """Return the markers of style that moved: some with their shares, the others by number."""
    markers = event.explanation.markers
    shown = [f"{m.marker} {shares_text(m.before, m.after)}" for m in markers[:_MAX_MARKERS]]
    rest = len(markers) - len(shown)
    more = f" and {rest} more" if rest > 0 else ""
    return f"{shown[0]} of answers" + "".join(f", {text}" for text in shown[1:]) + more


def _past(event: DriftEvent) -> str:
    """Return how long the change lasted and its final size, as far as they are known."""
    since, final = event.explanation.since, event.explanation.final
    lasted = f" after {_record_count(event, since.record)}" if since else ""
    if since and since.time is not None:
        lasted += f" ({duration(event.time - since.time)})"
    if final is None:
        return lasted
    effect = f"{effect_text(final.effect, event.kind, event.source)}, " if final.effect else ""
    return f"{lasted}, final size {effect}PSI {final.psi:.2f}"


def effect_text(effect: Effect, kind: Kind, source: Source = Source.LOG) -> str:
    """Return the number that describes a change best: name, before, after, and their ratio.

    kind, source: of the event; a category may have the name of a statistic.
    """
    if kind != "categorical" and effect.of in STATISTICS:
        unit = f" {effect.unit}" if effect.unit else ""
        numbers = numbers_text(effect.before, effect.after)
        return f"{effect.of} {numbers}{unit}{ratio_text(effect.before, effect.after)}"
    label = "" if kind == "binary" and effect.of == "share" else f"{_category(effect.of)} in "
    return f"{label}{shares_text(effect.before, effect.after)} of {records_of(source)}"


def duration(seconds: float) -> str:
    """Return a duration in days, hours and minutes."""
    if not math.isfinite(seconds):
        return "unknown"
    minutes = max(0, round(seconds / 60))
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def printable(text: str) -> str:
    """Return text from a log with control characters and line breaks replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _since(event: DriftEvent) -> str:
    since = event.explanation.since
    if since is None:
        return ""
    if _has_time(event):
        return f", since {since_text(event)}"
    return f", for the last {_record_count(event, since.record)}"


def since_text(event: DriftEvent) -> str:
    """Return when the change began, with the date if it differs from the event's; or ""."""
    since = event.explanation.since
    if since is None:
        return ""
    ago = f"{_record_count(event, since.record)} ago"
    if since.time is None or not _has_time(event):
        return ago
    then, now = (datetime.fromtimestamp(time, UTC) for time in (since.time, event.time))
    form = "%H:%M:%S" if then.date() == now.date() else "%Y-%m-%d %H:%M:%S"
    return f"{then.strftime(form)} UTC, {ago}"


def _has_time(event: DriftEvent) -> bool:
    """Return whether the times of an event and of the start of its change can be shown."""
    since = event.explanation.since
    if since is None or since.time is None:
        return False
    return all(0 <= time < _YEAR_9999 for time in (since.time, event.time))


def _record_count(event: DriftEvent, first: int) -> str:
    """Return the number of records from the `first` one to the event."""
    words, records = _WORDS[event.source], event.record - first + 1
    return f"{records:,} {words.one if records == 1 else words.many}"


def _other_features(event: DriftEvent) -> str:
    """Return which other features changed: two by name, the others by number."""
    others = event.explanation.together
    named = ", ".join(list(others)[:2])
    more = f" and {len(others) - 2} more" if len(others) > 2 else ""
    return f", with {named}{more}" if others else ""


def _change(event: DriftEvent) -> str:
    """Return what changed: the share of missing values, the values, or both."""
    before, after, words = event.reference, event.current, _WORDS[event.source]
    if _is_missing_flag(event):
        shares = shares_text(before.mean or 0.0, after.mean or 0.0)
        return f"{words.missing} in {shares} of {words.many}"
    missing = f"{words.missing} in {shares_text(before.missing, after.missing)} of {words.many}"
    if after.n == 0:
        return f"no {words.one} has a {words.value} any more; {missing}"
    values_moved, missing_moved = _moved(event)
    if not values_moved:
        return missing
    values = _values(event)
    return f"{values}; {missing}" if missing_moved else values


def _moved(event: DriftEvent) -> tuple[bool, bool]:
    """Return whether the values moved, and the share of missing values."""
    if event.psi_values is None or event.psi_missing is None:
        missing_psi = _missing_psi(event.reference.missing, event.current.missing)
        return missing_psi < event.psi / 2, missing_psi >= event.psi / 10
    return event.psi_values >= event.psi / 4, event.psi_missing >= event.psi / 10


def _is_missing_flag(event: DriftEvent) -> bool:
    """Return whether the stream of the event says whether a sparse feature is missing."""
    return event.feature.startswith(MISSING_PREFIX)


def _missing_psi(before: float, after: float) -> float:
    """Return the part of the population stability index that is due to missing values."""
    p, q = (min(max(share, 5e-4), 1 - 5e-4) for share in (before, after))
    return (q - p) * math.log(q * (1 - p) / (p * (1 - q)))


def _values(event: DriftEvent) -> str:
    """Return how the values changed, by the kind of the feature."""
    before, after = event.reference, event.current
    if event.kind == "categorical":
        new, old = after.shares or {}, before.shares or {}
        unmoved = set(event.explanation.unmoved)
        if unmoved.issuperset(new):  # PSI has changed, but no share of its own
            unmoved = set()
        moved = [each for each in new.items() if each[0] not in unmoved]
        texts = [
            f"{_category(name)} {shares_text(old.get(name, 0.0), share)}"
            for name, share in moved[:3]
        ]
        return ", ".join(texts) + _new_categories(event)
    if event.kind == "binary" and before.mean is not None and after.mean is not None:
        percentages = shares_text(before.mean, after.mean)
        return f"{percentages} of {records_of(event.source)}" + ratio_text(before.mean, after.mean)
    return _statistics(event)


def _new_categories(event: DriftEvent) -> str:
    """Return the most frequent categories that the reference lacks, as a clause."""
    new = event.explanation.new_categories.items()
    names = ", ".join(f"{_category(name)} {share_text(share)}" for name, share in new)
    return f" (new: {names})" if names else ""


def _category(name: str) -> str:
    """Return the label of a category, shortened: a log may contain very long ones."""
    if len(name) <= _MAX_LABEL_CHARS:
        return name
    return name[: _MAX_LABEL_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _statistics(event: DriftEvent) -> str:
    """Return the first statistics that changed, then median and p95 if they did not."""
    before, after, unit = event.reference, event.current, _unit(event)
    both = common_statistics(before, after)
    changed = [name for name, (a, b) in both.items() if differs(a, b, tail_length(before))]
    if not changed:
        return "its shape has changed: " + (_bins(event) or _unchanged(both))
    effect = event.explanation.effect
    changed.sort(key=lambda name: effect is None or name != effect.of)
    reported = changed[:2] if changed[0] != "mean" else ["mean"]
    texts = [
        f"{name} {numbers_text(*both[name])}{unit}{ratio_text(*both[name])}" for name in reported
    ]
    # before a change is dated, all records are those of the window
    unmoved = event.explanation.unmoved if event.explanation.since else ("median", "p95")
    still = [name for name in ("median", "p95") if name in unmoved and name in both]
    still = [name for name in still if name not in changed]
    texts += [f"{name} still {number_text(both[name][1], 3)}" for name in still]
    return ", ".join(texts[:3])


def _bins(event: DriftEvent) -> str:
    """Return the two bins that changed most."""
    shifts = sorted(event.explanation.bins, key=lambda shift: -abs(shift.after - shift.before))
    unit = _unit(event)
    return ", ".join(f"{s.bin}{unit} in {shares_text(s.before, s.after)}" for s in shifts[:2])


def _unchanged(both: dict[str, tuple[float, float]]) -> str:
    names = ("median", "p95", "mean")
    return ", ".join(f"{name} {numbers_text(*both[name])}" for name in names if name in both)


def _unit(event: DriftEvent) -> str:
    unit = unit_of(event.feature)
    return f" {unit}" if unit else ""


def _current_level(event: DriftEvent) -> str:
    """Return the level of a feature whose alarm resolved, and that of its reference."""
    before, after, words = event.reference, event.current, _WORDS[event.source]
    if _is_missing_flag(event):
        share = f"{words.missing} in {share_text(after.mean or 0.0)} of {words.many}"
        return f"{share}, reference {share_text(before.mean or 0.0)}"
    if after.n == 0:
        return f"no {words.one} has a {words.value}"
    if event.kind == "categorical":
        new, old = after.shares or {}, before.shares or {}
        name = max(new, key=lambda each: new[each], default="")
        now, then = share_text(new.get(name, 0.0)), share_text(old.get(name, 0.0))
        return f"{_category(name)} {now}, reference {then}"
    if event.kind == "binary" and before.mean is not None and after.mean is not None:
        return f"{share_text(after.mean)} of {words.many}, reference {share_text(before.mean)}"
    if before.p50 is None or after.p50 is None:
        return "its values are as in the reference"
    unit = _unit(event)
    return f"median {number_text(after.p50, 3)}{unit}, reference {number_text(before.p50, 3)}{unit}"


def shares_text(before: float, after: float) -> str:
    """Return two shares, with as many digits as are needed to show that they differ.

    Neither is shown as 0 or 100 % unless it is that.
    """
    texts = {d: (share_text(before, d), share_text(after, d)) for d in (1, 2, 3)}
    shown = [d for d, both in texts.items() if both == (f"{before:.{d}%}", f"{after:.{d}%}")]
    digits = next((d for d in shown if texts[d][0] != texts[d][1]), min(shown, default=3))
    return " -> ".join(texts[digits])


def share_text(share: float, digits: int = 1) -> str:
    """Return a share in percent; one that is neither 0 nor 1 is not shown as such.

    A mean of ones can differ from 1 by rounding.
    """
    text, least = f"{share:.{digits}%}", 10.0 ** -(digits + 2)
    if min(share, 1 - share) < _ROUNDING:
        return text
    if float(text[:-1]) == 0:
        return f"<{least:.{digits}%}"
    if float(text[:-1]) == 100:
        return f">{1 - least:.{digits}%}"
    return text


def numbers_text(before: float, after: float) -> str:
    """Return two numbers, with as many digits as are needed to show that they differ."""
    gap, size = abs(after / 2 - before / 2), max(abs(before), abs(after))  # halves: no overflow
    digits = min(9, max(3, math.ceil(math.log10(size / 2) - math.log10(gap)) + 1)) if gap else 3
    return f"{number_text(before, digits)} -> {number_text(after, digits)}"


def ratio_text(before: float, after: float) -> str:
    """Return the relative change, or "" if the numbers have no meaningful ratio."""
    if before <= 0 or after <= 0 or not math.isfinite(after / before):
        return ""
    ratio = after / before
    if ratio >= 2:
        return f" (x{number_text(ratio, 2)})"
    percent = f"{ratio - 1:+.0%}"
    return "" if percent in {"+0%", "-0%"} else f" ({percent})"


def number_text(value: float, digits: int) -> str:
    """Return a number with this many digits, but with all digits before the decimal point."""
    if not math.isfinite(value):
        return str(value)
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    if not -4 <= magnitude < 15:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - magnitude)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
