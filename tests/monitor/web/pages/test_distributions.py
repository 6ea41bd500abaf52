"""The picture of the quantiles of an event."""

from __future__ import annotations

from msgspec import structs

from monitor.web.pages.plots.distributions import ranges
from tests.monitor.events.drift_events import event, numbers


def test_quantiles_that_are_not_known_are_not_drawn() -> None:
    """An event may lack quantiles of the measured records; those that it has are drawn."""
    whole = event(numbers(), numbers(75))
    few = structs.replace(whole, current=structs.replace(whole.current, p95=None, p05=None))
    drawn, picture = ranges(whole), ranges(few)
    assert drawn is not None
    assert picture is not None
    assert "p05 unknown, median 75, p95 unknown" in str(picture)
    assert str(drawn).count("<rect") == 2
    assert str(picture).count("<rect") == 1
    none = structs.replace(few.current, p50=None, p99=None)
    assert ranges(structs.replace(few, current=none)) is None
