"""The samples of a panel are drawn by a hash."""

from __future__ import annotations

import pytest

from judges.rubrics.panel import drawn


def test_a_share_is_drawn_by_hash() -> None:
    """The share is met, is the same each time, grows monotonically and depends on the purpose."""
    ids = [f"request-{i}" for i in range(20_000)]
    tenth = {i for i in ids if drawn(i, 0.1)}
    assert len(tenth) == pytest.approx(2000, abs=4 * (20_000 * 0.1 * 0.9) ** 0.5)
    assert tenth <= {i for i in ids if drawn(i, 0.2)}
    other = {i for i in ids if drawn(i, 0.1, "canary")}
    assert len(tenth & other) == pytest.approx(200, abs=70)
    assert not any(drawn(i, 0.0) for i in ids)
    assert all(drawn(i, 1.0) for i in ids)
