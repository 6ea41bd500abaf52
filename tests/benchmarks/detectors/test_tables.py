"""Intervals are exact, and the words say what the numbers say, losses first of all."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import poisson

from benchmarks.detectors import tables, verdicts
from benchmarks.detectors.rows import (
    Head,
    Row,
    change_rows,
    null_rows,
    poisson_interval,
    quantile,
)


@pytest.mark.parametrize("count", [0, 1, 3, 10, 250])
def test_the_interval_is_exact(count: int) -> None:
    """At each end as few, or as many, would be seen with a probability of 2.5 %."""
    low, high = poisson_interval(count)
    assert low <= count <= high
    assert poisson.cdf(count, high) == pytest.approx(0.025)
    assert low == 0 if not count else poisson.sf(count - 1, low) == pytest.approx(0.025)


def test_missed_changes_are_endless() -> None:
    """They count for medians and percentiles, which they can make endless."""
    assert quantile([10, 20, 30], 0.5) == 20
    assert quantile([10, 20], 0.5) == 15
    assert quantile([10, 20, None, None, None], 0.5) is None
    assert quantile([10, 20, 30, None], 0.5) == 25
    assert quantile([*range(10)], 0.9) == 9
    assert quantile([10, 20, 30, None], 0.9) is None


def test_pieces_are_added_up() -> None:
    """Counts and delays of pieces become one row for each setting."""
    settings = (("default", 0.1), ("at_1", 0.01))
    head = Head("p", "normal", ("normal", 1), settings)
    pieces: list[Row] = [
        {"records": 500_000, "counts": [3, 0]},
        {"records": 500_000, "counts": [1, 1]},
    ]
    first, second = null_rows((head, piece) for piece in pieces)
    assert (first["alarms"], first["records"], first["per_million"][0]) == (4, 1_000_000, 4)
    assert (second["setting"], second["alarms"]) == ("at_1", 1)
    head = Head("p", "mean_1", (5000,), settings)
    answers: list[Row] = [{"delays": [[1, 2], [None, 5]]}, {"delays": [[3], [7]]}]
    first, second = change_rows((head, answer) for answer in answers)
    assert (first["median"], first["seeds"], first["missed"]) == (2, 3, 0)
    assert (second["median"], second["missed"]) == (7, round(1 / 3, 4))


def null(peer: str, setting: str, knob: float, alarms: int) -> dict[str, Any]:
    """A row of a million records of N(0, 1)."""
    head = Head(peer, "normal", ("normal", 1), ((setting, knob),))
    (row,) = null_rows([(head, {"records": 1_000_000, "counts": [alarms]})])
    return row


def change(peer: str, delays: list[int | None], name: str = "mean_1") -> dict[str, Any]:
    """A row of a change at one in a million."""
    head = Head(peer, name, (5000,), (("at_1", 0.1),))
    (row,) = change_rows([(head, {"delays": [delays]})])
    return row


def result(nulls: list[dict[str, Any]], changes: list[dict[str, Any]]) -> dict[str, Any]:
    """A result of us and one peer."""
    tuned: Row = {"1": {"value": 0.1, "rate": 1, "count": 3, "records": 9, "extrapolated": True}}
    tuned["1"]["reason"] = ""
    about = {"base": "normal", "shift": None, "horizon": 20_000}
    return {
        "plan": {"form": "quick", "records": 10**6, "seeds": 3, "afters": [5000], "seconds": 1.0},
        "protocol": {"rates": [1.0], "window": 1000},
        "left_out": ["the trace"],
        "streams": {"normal": "N(0, 1)"},
        "change_streams": {n: {"text": f"the {n}", **about} for n in ("mean_1", "tail")},
        "peers": {
            name: {
                "title": name.capitalize(),
                "role": role,
                "version": "1",
                "knob": {"name": "k", "default": 0.1},
            }
            for name, role in (
                ("plumbline", "ours"),
                ("plumbline_windows", "ours"),
                ("rival", "peer"),
            )
        },
        "knobs": {"plumbline": {"normal": tuned}, "rival": {"normal": tuned}},
        "nulls": nulls,
        "changes": changes,
        "costs": [
            {"peer": "plumbline_windows", "us": 0.05, "bytes": 10, "features": 40},
            {"peer": "rival", "us": 0.5, "bytes": 10, "features": 1},
        ],
    }


def test_a_broken_promise_is_said() -> None:
    """Six pages where one was promised are too many; three may be chance."""
    words = verdicts.promise_words(result([null("plumbline", "promise_1", 1.0, 6)], []))
    assert "as promised: no" in words[0]
    assert "We break the promise on N(0, 1)" in words[-1]
    words = verdicts.promise_words(result([null("plumbline", "promise_1", 1.0, 3)], []))
    assert "as promised: yes" in words[0]
    assert not any("We break" in word for word in words)


def test_a_promise_that_is_not_refuted_is_not_called_proven() -> None:
    """No page in a million records proves a promise of ten, and not one of one."""
    rows = [null("plumbline", "promise_1", 1.0, 0), null("plumbline", "promise_10", 10.0, 0)]
    words = verdicts.promise_words(result(rows, []))
    assert words[1].startswith("On 1 pairs the upper end is within the promise")
    assert (
        "Plumbline, all streams at a promise of 10 in a million: 0 false pages, 10 were" in words[3]
    )


def test_a_promise_is_not_held_against_tuned_knobs() -> None:
    """What we were tuned to is no promise."""
    rows = [null("plumbline", "at_1", 1.0, 50), null("rival", "default", 1.0, 50)]
    assert list(verdicts.promises(result(rows, []))) == []


def test_losses_are_said_in_words() -> None:
    """Where a peer is sooner the text names the change, both delays and the peer."""
    rows = [change("plumbline", [300]), change("rival", [100])]
    words = verdicts.delay_words(result([], rows), 1.0, "plumbline")
    assert ": no.**" in words[0]
    assert "We lose on the mean_1 after 5,000 records: 300, Rival 100." in words


def test_the_worst_race_of_each_is_said() -> None:
    """By how much it is behind the quickest there, us included; the best of the worst first."""
    rows = [change("plumbline", [300]), change("rival", [100])]
    rows += [change("plumbline", [200], "tail"), change("rival", [None], "tail")]
    head, first, second = verdicts.worst_words(result([], rows), 1.0)
    assert head.startswith("**At worst")
    assert first == "Plumbline: 3.0 times (the mean_1), of 2 changes."
    assert second == "Rival: missed (the tail), of 2 changes."
    loose = [null("rival", "at_1", 0.1, 50)]
    (_, alone) = verdicts.worst_words(result(loose, rows), 1.0)
    assert alone.startswith("Plumbline: 1.0 times")
    assert verdicts.worst_words(result([], []), 1.0) == []


def test_who_forgets_takes_part_in_later_changes_too() -> None:
    """Measured after the fewest records only, it races us after more of them with that."""
    rows = [change("plumbline", [110]), change("rival", [100])]
    both = result([], [*rows, rows[0] | {"after": 100_000, "median": 150.0}])
    both["plan"]["afters"] = [5000, 100_000]
    assert [(r.after, r.ours, r.best) for r in verdicts.races(both, 1.0, "plumbline")] == [
        (5000, 110, 100),
        (100_000, 150, 100),
    ]
    assert "Plumbline: 1.5 times (the mean_1), of 2 changes." in verdicts.worst_words(both, 1.0)


def test_a_quarter_sooner_everywhere_is_a_yes() -> None:
    """No loss, and on average at least 25 % shorter; a tie alone is not enough."""
    rows = [change("plumbline", [40]), change("rival", [100])]
    assert ": not shown.**" in verdicts.delay_words(result([], rows), 1.0, "plumbline")[0]
    both = [*rows, change("plumbline", [90], "tail"), change("rival", [100], "tail")]
    assert ": yes.**" in verdicts.delay_words(result([], both), 1.0, "plumbline")[0]
    ties = [change("plumbline", [100]), change("rival", [100])]
    assert ": no.**" in verdicts.delay_words(result([], ties), 1.0, "plumbline")[0]


def test_what_we_alone_miss_is_a_loss() -> None:
    """A change that a peer sees and we do not makes the average endless."""
    rows = [change("plumbline", [None]), change("rival", [100])]
    words = verdicts.delay_words(result([], rows), 1.0, "plumbline")
    assert "endless" in words[0]
    assert "missed, Rival 100." in words[1]


def test_who_fires_too_often_is_left_out() -> None:
    """A peer whose rate is surely above the one it was tuned to wins no race."""
    rows = [change("plumbline", [300]), change("rival", [100])]
    made = result([null("rival", "at_1", 0.1, 40)], rows)
    assert not any("We lose" in w for w in verdicts.delay_words(made, 1.0, "plumbline"))
    assert any("Rival" in w and "left out" in w for w in verdicts.unfair_words(made, 1.0))


def test_without_rivals_there_is_no_race() -> None:
    """A peer that could not be tuned is no win of ours, and the text says who it was."""
    made = result([], [change("plumbline", [300])])
    made["knobs"]["rival"] = {"normal": {"1": {"value": None, "reason": "too few records"}}}
    (only,) = verdicts.delay_words(made, 1.0, "plumbline")
    assert "nothing to compare" in only
    assert verdicts.unfair_words(made, 1.0)[1:] == ["Rival: too few records (N(0, 1))."]


def test_the_page_has_every_part() -> None:
    """What was left out is said at the top; delays of extrapolated knobs carry their mark."""
    rows = [change("plumbline", [300, None, 200]), change("rival", [100])]
    nulls = [null("plumbline", "default", 0.04, 0), null("rival", "at_1", 0.1, 2)]
    text = tables.markdown(result(nulls, rows))
    assert "Left out for want of the data: the trace." in text
    assert "| 300 / missed (33%)† | - | 100 / 100 n=1† |" in text
    assert "2 (0.24 to 7.2)" in text
    assert "0.050 us" in text
    for line in text.splitlines():
        assert line == line.rstrip()
