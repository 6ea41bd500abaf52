"""The plot in the terminal is readable, and says nothing that the data do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from rich.console import Console

from monitor.demo.plot import BOTH, CAME, LEFT, axis_for, histogram_plot, render, shares

Floats = NDArray[np.float64]

pytestmark = pytest.mark.filterwarnings("error")  # a numpy warning here is a wrong number

rng = np.random.default_rng(11)
REFERENCE = rng.lognormal(3.0, 0.5, 20_000)
SAME = rng.lognormal(3.0, 0.5, 1_000)
SLOWER = rng.lognormal(4.0, 0.5, 1_000)

any_floats = hnp.arrays(np.float64, st.integers(0, 40), elements=st.floats(width=64))
small_wholes = hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(-5, 200).map(float))
finite = hnp.arrays(
    np.float64,
    st.integers(1, 40),
    elements=st.floats(allow_nan=False, allow_infinity=False, width=64),
)


def plot(reference: Floats, current: Floats, *, width: int = 72, height: int = 10) -> str:
    """A plot with a title and a unit that the test does not care about."""
    return histogram_plot(
        reference, current, title="a latency", unit="ms", width=width, height=height
    )


def bars(drawn: str) -> list[str]:
    """The rows of the bars, without what stands left of the axis."""
    return [line.split("│", 1)[1] for line in drawn.splitlines() if "│" in line]


@settings(deadline=None)
@given(finite | small_wholes, finite | small_wholes, st.integers(32, 120), st.integers(3, 15))
def test_any_finite_values_make_a_plot_that_fits(
    reference: Floats, current: Floats, width: int, height: int
) -> None:
    """Whatever the values, there are `height` rows of bars and no line is wider than asked."""
    drawn = plot(reference, current, width=width, height=height)
    assert len(bars(drawn)) == height
    assert max(map(len, drawn.splitlines())) <= width


@settings(deadline=None)
@given(any_floats, any_floats)
def test_missing_values_never_break_it(reference: Floats, current: Floats) -> None:
    """NaN and infinities are ignored, and a side without any value is named."""
    drawn = plot(reference, current)
    assert max(map(len, drawn.splitlines())) <= 72
    for name, values in (("reference", reference), ("current", current)):
        if not np.isfinite(values).any():
            assert "no data" in drawn
            assert name in drawn


@settings(deadline=None)
@given(small_wholes | finite.map(lambda v: np.clip(v, -1e9, 1e9)), small_wholes)
def test_shares_are_a_distribution(reference: Floats, current: Floats) -> None:
    """On either side the shares of the bins and of what lies beyond are positive and sum to 1."""
    axis = axis_for(reference, current, 64)
    for values in (reference, current):
        share = shares(values, axis)
        assert share.shape == (axis.bins + 2,)
        assert share.sum() == pytest.approx(1.0)
        assert share.min() >= 0


def test_shares_count_as_numpy_does() -> None:
    """For continuous values the shares are those of numpy's histogram over the same edges."""
    axis = axis_for(REFERENCE, SLOWER, 64)
    counted, _ = np.histogram(REFERENCE, axis.edges)
    assert shares(REFERENCE, axis)[1:-1] == pytest.approx(counted / len(REFERENCE))


def test_cells_hold_the_mass_of_each_side() -> None:
    """The pale and common cells are the reference's mass, the solid and common the current's."""
    drawn = "".join(bars(plot(REFERENCE, SLOWER, height=60)))
    both, left, came = (drawn.count(glyph) for glyph in (BOTH, LEFT, CAME))
    assert left + both == pytest.approx(came + both, rel=0.05)
    # Total variation of two lognormals one unit apart at sigma .5 is 2 Phi(1) - 1 = .683.
    assert left / (left + both) == pytest.approx(0.683, abs=0.04)


def test_mass_that_moved_up_is_solid_on_the_right() -> None:
    """What came lies right of what left, and the sentence below says the same."""
    drawn = plot(REFERENCE, SLOWER)
    rows = bars(drawn)
    left = [i for row in rows for i, glyph in enumerate(row) if glyph == LEFT]
    came = [i for row in rows for i, glyph in enumerate(row) if glyph == CAME]
    assert max(left) < min(came)
    assert "of the mass (chance alone" in drawn
    assert "towards" in drawn


def test_medians_are_marked_where_they_are() -> None:
    """Both medians are written out, and their lines stand at their place on the axis."""
    drawn = plot(REFERENCE, SLOWER)
    lines = drawn.splitlines()
    before, after = float(np.median(REFERENCE)), float(np.median(SLOWER))
    assert f"reference p50 {before:.4g}" in lines[1]
    assert f"current p50 {after:.4g} (×{after / before:.2f})" in lines[2]
    axis = axis_for(REFERENCE, SLOWER, 64)
    assert lines[1].index("┊") == 8 + axis.column(before)
    assert lines[2].index("┃") == 8 + axis.column(after)


def test_noise_is_not_called_a_move() -> None:
    """Two samples of one distribution move no more than chance, so no direction is named."""
    assert "towards" not in plot(REFERENCE, SAME)


def test_a_wide_positive_range_gets_a_log_axis() -> None:
    """Beyond one and a half decades the axis is logarithmic, and says so; otherwise it is not."""
    wide = plot(rng.lognormal(5, 1.5, 5_000), rng.lognormal(5, 1.5, 5_000))
    assert "log axis" in wide
    assert "1,000" in wide
    assert "log axis" not in plot(REFERENCE, SAME)
    assert "log axis" not in plot(REFERENCE - 30, SAME)


def test_a_rare_level_is_told_in_figures() -> None:
    """Of a binary feature both levels are shown with their shares, however rare one is."""
    before = np.repeat([0.0, 1.0], [995, 5])
    after = np.repeat([0.0, 1.0], [970, 30])
    lines = plot(before, after).splitlines()
    assert [line.split()[1:] for line in lines if line.startswith(("   ref ", "   cur "))] == [
        ["99.5", "%", "0.5", "%"],
        ["97.0", "%", "3.0", "%"],
    ]
    assert "from 0, towards 1" in lines[-1]


def test_whole_numbers_make_no_comb_on_a_log_axis() -> None:
    """On a log axis finer than whole numbers, no bin is empty between two that are not."""
    tokens = np.rint(rng.lognormal(2.5, 1.0, 50_000)).clip(1)
    axis = axis_for(tokens, tokens, 64)
    assert axis.log
    assert shares(tokens, axis)[1:-1].min() > 0


@pytest.mark.parametrize("value", [5.0, 0.37, 0.0, -2.5, 1e12])
def test_a_constant_is_one_bar(value: float) -> None:
    """A constant is one bar over its value, common to both sides."""
    drawn = plot(np.full(50, value), np.full(20, value))
    assert len({row.strip() for row in bars(drawn)}) == 1
    assert set("".join(bars(drawn)).strip()) <= {BOTH, " "}
    assert "moved: 0 % of the mass" in drawn


def test_what_is_not_drawn_is_told() -> None:
    """Missing values and values beyond the axis are given as shares."""
    current = np.repeat([1.5, 2.5, 900.5], [1_000, 996, 4])
    drawn = plot(np.concatenate([np.linspace(1, 3, 1_500), [np.nan] * 500]), current)
    assert "reference 1,500 values, 25 % missing" in drawn
    assert "current 2,000 values, 0.2 % beyond the axis" in drawn


def test_a_name_from_the_log_cannot_steer_the_terminal() -> None:
    """Control characters in a title are replaced, and a long title is cut."""
    drawn = histogram_plot(REFERENCE, SAME, title="\x1b[2Jevil\n" + "x" * 99, unit="ms")
    assert "\x1b" not in drawn
    assert len(drawn.splitlines()[0]) == 72


@pytest.mark.parametrize(("width", "height"), [(31, 10), (72, 2)])
def test_too_little_room_is_refused(width: int, height: int) -> None:
    """A plot that could not be read is not drawn."""
    with pytest.raises(ValueError, match="at least 32 columns and 3 rows"):
        plot(REFERENCE, SAME, width=width, height=height)


def test_colour_changes_no_character() -> None:
    """The rendered text is the plot itself, coloured."""
    drawn = plot(REFERENCE, SLOWER)
    console = Console(width=80, color_system="truecolor", force_terminal=True)
    assert render(drawn).plain == drawn
    with console.capture() as captured:
        console.print(render(drawn))
    assert "\x1b[" in captured.get()
