"""The benchmark of judged samples counts false pages and samples until a page."""

from __future__ import annotations

from benchmarks import judged
from monitor.config.sections.detection import AlarmsConfig


def test_a_fall_has_a_delay_and_no_change_has_no_page() -> None:
    """A fall of one dimension pages within some windows; without one, nothing does."""
    assert 0 < judged.delay(seed=0) <= 300
    assert judged.false_pages(AlarmsConfig(), 5_000, seed=0) == 0


def test_a_budget_that_tolerates_noise_is_counted() -> None:
    """At limits far below the noise of a window, alarms without a change are false pages."""
    noisy = AlarmsConfig(false_pages=1e6, min_psi=0.001)
    assert judged.false_pages(noisy, 5_000, seed=0) > 0
