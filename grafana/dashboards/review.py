"""The dashboard *Review*: do people get tasks, are labels sent, and do the pages work?"""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards.elements import frame
from grafana.dashboards.rows.judging import reviewing

UID = "plumbline-review"


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return frame.dashboard(
        "Plumbline / Review",
        UID,
        "Review of responses by people: what waits, what was rated, labels on their way, and"
        " the web application itself.",
        [reviewing.queues(), reviewing.inflow(), reviewing.pages()],
        links=[
            frame.to_runbook("Runbook: pages fail", "PlumblineWebFailing"),
            frame.to_runbook("Runbook: labels are not sent", "PlumblineReviewLabelsFailing"),
            frame.to_dashboards("Judged quality", "plumbline-judged"),
        ],
    )
