"""Tests of the table that compares a feature in the reference and in the current window."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rich.console import Console

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from detectors.window import Window
from monitor.cli.demo.distribution import distribution

pytestmark = pytest.mark.filterwarnings("error")  # a numpy warning means a wrong number

rng = np.random.default_rng(11)
REFERENCE = rng.lognormal(8.3, 0.6, 10_000)
SAME = rng.lognormal(8.3, 0.6, 1_000)
SLOWER = 1.6 * SAME

numbers = st.floats(-1e300, 1e300) | st.sampled_from([np.nan, np.inf, -np.inf])
any_values = hnp.arrays(np.float64, st.integers(1, 60), elements=numbers)
few_levels = hnp.arrays(np.float64, st.integers(1, 60), elements=st.integers(-2, 3).map(float))


def draw(
    reference: Floats,
    current: Floats,
    *,
    width: int = 72,
    title: str = "m latency_ms",
    feature: str = "latency_ms",
    colour: bool = False,
) -> str:
    """Return the table of two samples, shapes (n,) and (m,), as text of this width."""
    stream = build_numeric_stream(feature, Kind.NUMERIC, reference, len(current))
    baseline = Baseline(records=len(reference), numeric=(stream,), categorical=())
    window = Window(baseline, len(current), len(current))
    windows = window.extend(current[None], np.zeros((0, len(current)), np.uint8))
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=colour, color_system="truecolor" if colour else None
    )
    console.print(distribution(baseline, feature, windows, title))
    return file.getvalue()


def shares(drawn: str) -> list[tuple[float, float]]:
    """Return the shares of the reference and of the current window by bin, in percent."""
    rows = [line.split() for line in drawn.splitlines() if "%" in line]
    percents = [[float(word[:-1]) for word in row if word.endswith("%")] for row in rows]
    return [(before, after) for before, after in percents]


def values(drawn: str, name: str) -> list[str]:
    """Return a statistic in the reference and in the current window."""
    [row] = [line.split() for line in drawn.splitlines() if line.split()[:1] == [name]]
    return row[1:]


def bar_lengths(drawn: str) -> list[list[int]]:
    """Return the number of full blocks in both bars of each bin."""
    rows = [line.split("%")[1:] for line in drawn.splitlines() if "%" in line]
    return [[part.count("█") for part in row] for row in rows]


@settings(deadline=None)
@given(any_values | few_levels, any_values | few_levels, st.integers(60, 120))
def test_shares_add_up_and_lines_fit(reference: Floats, current: Floats, width: int) -> None:
    """For any values the shares of both sides add up to 100 %, and no line is too long."""
    drawn = draw(reference, current, width=width)
    before, after = np.array(shares(drawn)).T
    for side in (before, after):
        assert side.min() >= 0
        assert side.sum() == pytest.approx(100, abs=0.05 * len(side))
    assert max(map(len, drawn.splitlines())) <= width
    assert values(drawn, "values") == [
        f"{np.count_nonzero(~np.isnan(side)):,}" for side in (reference, current)
    ]


def test_bins_have_equal_shares_in_the_reference() -> None:
    """Without ties every bin contains a tenth of the reference."""
    inside = [before for before, _ in shares(draw(REFERENCE, REFERENCE[:1_000]))]
    assert inside == pytest.approx([10.0] * 10, abs=0.1)


def test_shares_are_those_of_the_samples() -> None:
    """The last bin contains the values of the top decile of the reference, and no row is above."""
    drawn = draw(REFERENCE, SLOWER.clip(max=REFERENCE.max()))
    decile = float(np.quantile(REFERENCE, 0.9))
    top = 100 * float((decile <= SLOWER).mean())
    assert shares(drawn)[-1][1] == pytest.approx(top, abs=0.3)
    assert "above" not in drawn


def test_bars_are_proportional_to_shares() -> None:
    """All bars have the same scale: a bar twice as long is a share twice as large."""
    drawn = draw(REFERENCE, SLOWER)
    lengths, percents = np.array(bar_lengths(drawn)), np.array(shares(drawn))
    scale = lengths.max() / percents.max()
    assert np.abs(lengths - scale * percents).max() <= 1


def test_statistics_are_those_of_the_samples() -> None:
    """Mean, median and 95th percentile of both sides are printed with three digits."""
    drawn = draw(REFERENCE, SLOWER)
    sides = (REFERENCE, SLOWER)
    expected = {
        "mean": [side.mean() for side in sides],
        "p50": [np.quantile(side, 0.5) for side in sides],
        "p95": [np.quantile(side, 0.95) for side in sides],
    }
    for name, numbers in expected.items():
        printed = [float(text.replace(",", "")) for text in values(drawn, name)]
        assert printed == pytest.approx(numbers, rel=0.01)


def test_ranges_are_in_the_unit_of_the_feature() -> None:
    """The title contains the unit; ranges start at the smallest and end at the largest value."""
    lines = draw(np.arange(100.0, 1100.0), np.arange(100.0, 1100.0)).splitlines()
    assert lines[0].rstrip() == "m latency_ms (ms)"
    assert lines[1].split() == ["reference", "current"]
    assert lines[2].startswith("100 to 199 ")
    assert lines[11].startswith("1,000 to 1,099 ")
    assert draw(SAME, SAME, feature="x", title="m x").splitlines()[0].rstrip() == "m x"


def test_close_values_have_distinct_ranges() -> None:
    """Edges that three digits cannot separate are printed with more digits."""
    sample = np.linspace(1, 1.001, 1000)
    first = draw(sample, sample).splitlines()[2].split()
    assert first[0] != first[2]


def test_values_outside_the_reference_have_rows_of_their_own() -> None:
    """Values below the minimum and above the maximum of the reference are separate rows."""
    drawn = draw(np.full(50, 5.0), np.repeat([4.0, 5.0, 6.0], [10, 20, 70]))
    assert shares(drawn) == [(0, 10), (100, 20), (0, 70)]
    assert [line.split()[0] for line in drawn.splitlines()[2:5]] == ["below", "5", "above"]


def test_missing_values_have_a_row() -> None:
    """Missing values are a row if either side has any."""
    sample = np.repeat([1.0, 2.0, np.nan], [40, 40, 20])
    drawn = draw(sample, sample)
    assert shares(drawn)[-1] == (20, 20)
    assert "missing" in drawn
    assert "missing" not in draw(REFERENCE, SAME)


def test_side_without_values_has_no_statistics() -> None:
    """If all values of a side are missing, it has no mean and a count of 0."""
    drawn = draw(np.full(10, 5.0), np.full(10, np.nan))
    assert values(drawn, "mean") == ["5"]
    assert values(drawn, "values") == ["10", "0"]
    assert values(draw(np.full(10, np.nan), np.full(10, np.nan)), "mean") == []


def test_rare_level_of_a_binary_feature_is_visible() -> None:
    """Both levels have their own bin, however rare one is."""
    drawn = draw(np.repeat([0.0, 1.0], [995, 5]), np.repeat([0.0, 1.0], [970, 30]))
    assert shares(drawn) == [(99.5, 97), (0.5, 3)]


def test_title_cannot_control_the_terminal() -> None:
    """Escape sequences, line breaks and markup in a title are printed as text."""
    drawn = draw(REFERENCE, SAME, title="\x1b[2J[bold]evil\n\u202e" + "x" * 99, width=60)
    assert not {"\x1b", "\u202e"} & set(drawn)
    assert "[bold]" in drawn
    assert max(map(len, drawn.splitlines())) <= 60


def test_colours_change_no_character() -> None:
    """On a terminal the two sides have different colours; the text is the same."""
    coloured = draw(REFERENCE, SLOWER, colour=True)
    plain = "".join(part.partition("m")[2] for part in ("\x1b[m" + coloured).split("\x1b["))
    assert plain == draw(REFERENCE, SLOWER)
    for line in coloured.splitlines()[2:12]:  # the bins
        reference, current = line.index("38;5;33;"), line.index("38;5;208;")
        assert reference < line.index("█") < current
