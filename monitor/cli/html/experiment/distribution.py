"""Distributions of a feature by arm, as overlaid steps in SVG."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element

from monitor.events.wording.drift import number_text
from monitor.events.wording.markup import element
from monitor.experiments.decisions.result import Distribution

WIDTH: Final = 400
HEIGHT: Final = 120
BOTTOM: Final = 22
TOP: Final = 6


def distribution_chart(found: Distribution, control: str, variant: str) -> Element | None:
    """Return the shares of an arm and of the control by bin, on a logarithmic axis."""
    shares = [found.shares.get(name, ()) for name in (control, variant)]
    bins = len(found.edges) - 1
    if bins < 1 or any(len(each) != bins for each in shares):
        return None
    highest = max(max(each) for each in shares) or 1.0
    control_path, own_path = (_steps(each, highest) for each in shares)
    first, last = (number_text(edge, 3) for edge in (found.edges[0], found.edges[-1]))
    return element(
        "svg",
        element("title", f"distribution of {found.feature}, {variant} against {control}"),
        element("path", d=own_path, class_="own"),
        element("path", d=control_path, class_="control"),
        element("text", first, x=0, y=HEIGHT - 5, text_anchor="start"),
        element("text", last, x=WIDTH, y=HEIGHT - 5, text_anchor="end"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        width="100%",
        class_="chart",
    )


def _steps(shares: tuple[float, ...], highest: float) -> str:
    """Return the outline of a histogram as a path."""
    width, base = WIDTH / len(shares), HEIGHT - BOTTOM
    parts = [f"M0 {base}"]
    for i, share in enumerate(shares):
        y = base - (base - TOP) * min(share / highest, 1.0)
        parts.append(f"V{y:.1f}H{(i + 1) * width:.1f}")
    return "".join([*parts, f"V{base}Z"])
