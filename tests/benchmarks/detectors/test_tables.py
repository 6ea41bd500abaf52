"""Intervals are exact, and the conclusions agree with the numbers, losses included."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scipy.stats import poisson

from benchmarks.detectors.report import tables, verdicts
from benchmarks.detectors.report.rows import (
    Row,
    TaskKey,
    change_rows,
    null_rows,
    poisson_interval,
    quantile,
)
from benchmarks.detectors.run import OUT, PROMISE_OUT
from benchmarks.detectors.streams import CHANGES, STREAMS


@pytest.mark.parametrize("count", [0, 1, 3, 10, 250])
def test_the_interval_is_exact(count: int) -> None:
    """At each end of the interval, the count has a tail probability of 2.5 %."""
    low, high = poisson_interval(count)
    assert low <= count <= high
    assert poisson.cdf(count, high) == pytest.approx(0.025)
    assert low == 0 if not count else poisson.sf(count - 1, low) == pytest.approx(0.025)


def test_missed_changes_are_infinite() -> None:
    """Missed changes count in medians and percentiles as infinite delays."""
    assert quantile([10, 20, 30], 0.5) == 20
    assert quantile([10, 20], 0.5) == 15
    assert quantile([10, 20, None, None, None], 0.5) is None
    assert quantile([10, 20, 30, None], 0.5) == 25
    assert quantile([*range(10)], 0.9) == 9
    assert quantile([10, 20, 30, None], 0.9) is None


def test_answers_of_tasks_are_summed() -> None:
    """Counts and delays of several tasks become one row for each setting."""
    settings = (("default", 0.1), ("at_1", 0.01))
    key = TaskKey("p", "normal", ("normal", 1), settings)
    counts: list[Row] = [
        {"records": 500_000, "counts": [3, 0]},
        {"records": 500_000, "counts": [1, 1]},
    ]
    first, second = null_rows((key, answer) for answer in counts)
    assert (first["alarms"], first["records"], first["per_million"][0]) == (4, 1_000_000, 4)
    assert (second["setting"], second["alarms"]) == ("at_1", 1)
    key = TaskKey("p", "mean_1", (5000,), settings)
    answers: list[Row] = [{"delays": [[1, 2], [None, 5]]}, {"delays": [[3], [7]]}]
    first, second = change_rows((key, answer) for answer in answers)
    assert (first["median"], first["seeds"], first["missed"]) == (2, 3, 0)
    assert (second["median"], second["missed"]) == (7, round(1 / 3, 4))


def null(contestant: str, setting: str, knob: float, alarms: int) -> dict[str, Any]:
    """Return a row of a million records of N(0, 1)."""
    key = TaskKey(contestant, "normal", ("normal", 1), ((setting, knob),))
    (row,) = null_rows([(key, {"records": 1_000_000, "counts": [alarms]})])
    return row


def change(contestant: str, delays: list[int | None], name: str = "mean_1") -> dict[str, Any]:
    """Return a row of a change at one per million."""
    key = TaskKey(contestant, name, (5000,), (("at_1", 0.1),))
    (row,) = change_rows([(key, {"delays": [delays]})])
    return row


def result(nulls: list[dict[str, Any]], changes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a result of Plumbline and one peer."""
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


def test_an_exceeded_budget_is_reported() -> None:
    """Six false pages exceed a budget of one; three may be chance."""
    texts = verdicts.budget_verdict(result([null("plumbline", "promise_1", 1.0, 6)], []))
    assert "within the budget: no" in texts[0]
    assert "Plumbline exceeds the budget on N(0, 1)" in texts[-1]
    texts = verdicts.budget_verdict(result([null("plumbline", "promise_1", 1.0, 3)], []))
    assert "within the budget: yes" in texts[0]
    assert not any("exceeds" in text for text in texts)


def test_a_budget_that_is_not_refuted_is_not_called_proven() -> None:
    """Zero false pages in a million records prove a budget of ten, but not of one."""
    rows = [null("plumbline", "promise_1", 1.0, 0), null("plumbline", "promise_10", 10.0, 0)]
    texts = verdicts.budget_verdict(result(rows, []))
    assert texts[1].startswith("On 1 pairs, the upper end is within the budget")
    assert texts[3] == (
        "Plumbline, all streams, budget of 10 per million records: 0 false pages, 10 allowed."
    )


def test_a_tuned_knob_is_not_a_budget() -> None:
    """Rows with tuned knobs and rows of peers are not compared with a budget."""
    rows = [null("plumbline", "at_1", 1.0, 50), null("rival", "default", 1.0, 50)]
    assert list(verdicts.budget_rows(result(rows, []))) == []


def test_slower_changes_are_listed() -> None:
    """The text names the change, both delays and the peer."""
    rows = [change("plumbline", [300]), change("rival", [100])]
    texts = verdicts.delay_verdict(result([], rows), 1.0, "plumbline")
    assert ": no.**" in texts[0]
    assert "Slower on the mean_1 after 5,000 records: 300 against 100 (Rival)." in texts


def test_the_worst_change_of_each_contestant_is_listed() -> None:
    """Each is compared with the fastest contestant, Plumbline included; the best comes first."""
    rows = [change("plumbline", [300]), change("rival", [100])]
    rows += [change("plumbline", [200], "tail"), change("rival", [None], "tail")]
    head, first, second = verdicts.worst_case_verdict(result([], rows), 1.0)
    assert head.startswith("**Median delay relative to the fastest contestant at 1 per million")
    assert first == "Plumbline: 3.0x (the mean_1); 2 changes compared."
    assert second == "Rival: missed (the tail); 2 changes compared."
    loose = [null("rival", "at_1", 0.1, 50)]
    (_, alone) = verdicts.worst_case_verdict(result(loose, rows), 1.0)
    assert alone.startswith("Plumbline: 1.0x")
    assert verdicts.worst_case_verdict(result([], []), 1.0) == []


def test_a_contestant_with_a_short_memory_is_compared_on_later_changes() -> None:
    """Its delay after the fewest records is used for all."""
    rows = [change("plumbline", [110]), change("rival", [100])]
    both = result([], [*rows, rows[0] | {"after": 100_000, "median": 150.0}])
    both["plan"]["afters"] = [5000, 100_000]
    assert [
        (r.after, r.plumbline, r.best) for r in verdicts.comparisons(both, 1.0, "plumbline")
    ] == [
        (5000, 110, 100),
        (100_000, 150, 100),
    ]
    texts = verdicts.worst_case_verdict(both, 1.0)
    assert "Plumbline: 1.5x (the mean_1); 2 changes compared." in texts


def test_the_delay_claim_needs_all_changes_and_a_quarter_less_delay() -> None:
    """The answer is yes without a slower change and 25 % less delay on average."""
    rows = [change("plumbline", [40]), change("rival", [100])]
    assert ": not shown.**" in verdicts.delay_verdict(result([], rows), 1.0, "plumbline")[0]
    both = [*rows, change("plumbline", [90], "tail"), change("rival", [100], "tail")]
    assert ": yes.**" in verdicts.delay_verdict(result([], both), 1.0, "plumbline")[0]
    ties = [change("plumbline", [100]), change("rival", [100])]
    assert ": no.**" in verdicts.delay_verdict(result([], ties), 1.0, "plumbline")[0]


def test_a_missed_change_is_slower() -> None:
    """A change that only the peer detects makes the average infinite."""
    rows = [change("plumbline", [None]), change("rival", [100])]
    texts = verdicts.delay_verdict(result([], rows), 1.0, "plumbline")
    assert "infinite" in texts[0]
    assert "missed against 100 (Rival)." in texts[1]


def test_a_peer_that_exceeds_its_rate_is_left_out() -> None:
    """A peer whose rate is certainly above the tuned one is not compared."""
    rows = [change("plumbline", [300]), change("rival", [100])]
    too_loose = result([null("rival", "at_1", 0.1, 40)], rows)
    assert not any("Slower" in w for w in verdicts.delay_verdict(too_loose, 1.0, "plumbline"))
    assert any("Rival" in w and "left out" in w for w in verdicts.exclusion_verdict(too_loose, 1.0))


def test_without_tuned_peers_there_is_no_comparison() -> None:
    """A peer that cannot be tuned is named, and no claim is made."""
    untuned = result([], [change("plumbline", [300])])
    untuned["knobs"]["rival"] = {"normal": {"1": {"value": None, "reason": "too few records"}}}
    (only,) = verdicts.delay_verdict(untuned, 1.0, "plumbline")
    assert "no comparison is possible" in only
    assert verdicts.exclusion_verdict(untuned, 1.0)[1:] == ["Rival: too few records (N(0, 1))."]


def test_the_page_has_all_parts() -> None:
    """Omitted streams are named at the top; delays of extrapolated knobs are marked."""
    rows = [change("plumbline", [300, None, 200]), change("rival", [100])]
    nulls = [null("plumbline", "default", 0.04, 0), null("rival", "at_1", 0.1, 2)]
    text = tables.markdown(result(nulls, rows))
    assert "Left out, because the data files are not available: the trace." in text
    assert "| 300 / missed (33%)† | - | 100 / 100 n=1† |" in text
    assert "2 (0.24 to 7.2)" in text
    assert "0.050 us" in text
    for line in text.splitlines():
        assert line == line.rstrip()


def test_the_committed_page_is_generated_from_the_committed_result() -> None:
    """The page in `benchmarks/results` is exactly what the result generates."""
    committed = json.loads(OUT.read_text(encoding="utf-8"))
    assert OUT.with_suffix(".md").read_text(encoding="utf-8") == tables.markdown(committed)


def test_the_committed_promise_is_generated_and_covers_all_streams() -> None:
    """It is kept on every null stream; heavy tails and sampled features are among them."""
    committed = json.loads(PROMISE_OUT.read_text(encoding="utf-8"))
    page = PROMISE_OUT.with_suffix(".md").read_text(encoding="utf-8")
    assert page == tables.promise(committed)
    measured = {row["stream"] for row in committed["nulls"] if row["peer"] == "plumbline"}
    assert measured >= STREAMS.keys()
    assert {row["change"] for row in committed["changes"]} == CHANGES.keys()
    assert "**exceeded**" not in page
